"""What a server has to answer with."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import Store

if TYPE_CHECKING:
    from cvfp_opt.service.health import Readiness
    from cvfp_opt.service.metrics import Metrics
    from cvfp_opt.store.files.artifact_stores import ArtifactStore


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What a server has to answer with.

    Attributes:
        store: its database, open as long as it runs.
        files: the artifacts of its studies.
        artifacts: where those lie, as the user named it; None for beside the database.
        forget: told the ids of studies that are deleted, which the dashboard keeps.
        base: the path that a proxy has put before all others; "" for none.
    """

    store: Store
    files: "ArtifactStore"
    artifacts: str | None = None
    forget: Callable[[Iterable[int]], None] = lambda ids: None
    base: str = ""

    @property
    def location(self) -> Location:
        """The place of its database."""
        return self.store.location

    @cached_property
    def metrics(self) -> "Metrics":
        """What Prometheus reads."""
        from cvfp_opt.service.metrics import Metrics

        return Metrics(self.store)

    @cached_property
    def readiness(self) -> "Readiness":
        """Whether the database answers."""
        from cvfp_opt.service.health import Readiness

        return Readiness(self.store)
