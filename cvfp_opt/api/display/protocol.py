"""What shows a search, whichever way."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from cvfp_opt.store.database.location import Location
from cvfp_opt.store.record.trial_attributes import StoredEnvironment
from cvfp_opt.training.events import Event
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.plan import Plan
from cvfp_opt.workers.observer import EngineObserver


class SearchDisplay(EngineObserver, AbstractContextManager[Any], Protocol):
    """An EngineObserver that is told of a search's beginning and stop as well.

    It is a context manager for the time while trials run.
    """

    def header(
        self,
        plan: Plan,
        location: Location,
        environment: StoredEnvironment,
        done: int | None,
        place: str = "",
    ) -> None:
        """Say what is about to happen.

        Args:
            plan, location: the study, and its database.
            environment: of this process.
            done: finished trials; None for a new study.
            place: where trials run, if not in this process and others like it.
        """

    def compile(self, device: str) -> None:
        """Compile the kernels if this installation has not, and say so."""

    def stopping(self) -> None:
        """Say that the user asked to stop."""


class MakeDisplay(Protocol):
    """Makes the display of a search."""

    def __call__(
        self, definition: StudyDefinition, total: int, processes: int = 1, lanes: int = 1
    ) -> SearchDisplay:
        """Make one.

        Args:
            definition: of the study.
            total: trials of the study in all.
            processes: that run trials side by side.
            lanes: trials at once in each.
        """


@dataclass(frozen=True, kw_only=True)
class View:
    """A way to show searches.

    Attributes:
        make: makes the display of one.
        notify: shows a line before there is one.
    """

    make: MakeDisplay
    notify: Callable[[str], None]


class TrainingDisplay(Protocol):
    """Shows one training run."""

    def observe(self, event: Event) -> None:
        """Show what an event brings. Raises SearchStopped when the user wants to stop."""

    def notice(self, text: str) -> None:
        """Show a line."""


class TrainingView(Protocol):
    """A way to show training runs."""

    def notify(self, text: str) -> None:
        """Show a line before there is a run."""

    def compile(self, definition: StudyDefinition, device: str) -> None:
        """Compile the kernels if this installation has not, and say so."""

    def show(
        self, definition: StudyDefinition, *, notices: bool = True
    ) -> AbstractContextManager[TrainingDisplay]:
        """Show a run by a definition, with or without what makes its figures mean less."""
