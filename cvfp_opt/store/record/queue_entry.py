"""A study's place in the queue: how many trials it is to have, and whether any may begin."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

from cvfp_opt.store.database.number_checks import is_whole

# Study user attribute. It goes with the study wherever that is copied to.
QUEUE = "cvfp_opt:queue"
# No study has so many trials.
_END_OF_TRIALS = 10**9


class QueueState(StrEnum):
    """What may begin in a study; the values are the user's words."""

    OPEN = "open"
    PAUSED = "paused"
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True)
class QueueEntry:
    """What is wanted of a study.

    Attributes:
        state: whether trials may begin.
        total: trials of the study in all; None if nobody has said.
        version: grows by one with each change.
    """

    state: QueueState = QueueState.OPEN
    total: int | None = None
    version: int = 0

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> Self:
        """Read it among a study's user attributes; an open one where none can be read."""
        return cls.parse(attributes.get(QUEUE))

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Read what ``to_dict`` gave; an open entry where it cannot be read."""
        if not isinstance(value, Mapping):
            return cls()
        state, total, version = (value.get(key) for key in ("state", "total", "version"))
        return cls(
            state=QueueState(state) if state in list(QueueState) else QueueState.OPEN,
            total=total if is_whole(total, _END_OF_TRIALS) else None,
            version=int(version or 0) if is_whole(version, 2**31) else 0,
        )

    def to_dict(self) -> dict[str, Any]:
        """Convert it to plain JSON values."""
        return asdict(self)


NOT_SAID = QueueEntry()
"""The entry of a study of which nobody has said what is wanted."""
