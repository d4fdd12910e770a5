"""A study's place in the queue: what is wanted of it, in which order, and until when."""

import reprlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self, TypedDict

from cvfp_opt.errors import DefinitionError
from cvfp_opt.store.database.number_checks import is_finite, is_moment, is_whole
from cvfp_opt.store.database.study_rows import is_text

# Study user attribute. It goes with the study wherever that is copied to.
QUEUE = "cvfp_opt:queue"
# No study has so many trials.
_END_OF_TRIALS = 10**9
_MOST_PRIORITY, _LEAST_WEIGHT, _MOST_WEIGHT = 1000, 0.001, 1000.0
_LONGEST_NAME, _MOST_TAGS = 64, 32
_LONGEST_SECONDS = 1e12


class QueueState(StrEnum):
    """The states of a study in the queue; the values are the user's words."""

    OPEN = "open"
    PAUSED = "paused"
    CANCELLED = "cancelled"


class QueueJson(TypedDict):
    """A study's place in the queue: what is wanted of it, in the users' words; null for no limit.

    Attributes:
        state: whether trials may begin.
        n_trials: trials of the study in all; null if nobody has said.
        priority: the studies of the highest priority are served first.
        weight: share of the workers among studies of one priority.
        max_workers: how many workers may run its trials at once.
        budget_hours: hours that its trials may take together.
        max_failed: failed trials after which none begins.
        until: time after which no trial begins, as 2027-01-31T18:00:00+00:00.
        owner: who submitted it; empty if nobody has said.
        tags: words to find it by.
        submitted: epoch seconds; null for a study from before there was a queue.
        version: grows by one with each change.
    """

    state: Annotated[str, QueueState]
    n_trials: int | None
    priority: int
    weight: float
    max_workers: int | None
    budget_hours: float | None
    max_failed: int | None
    until: str | None
    owner: str
    tags: list[str]
    submitted: float | None
    version: int


@dataclass(frozen=True, kw_only=True)
class QueueEntry:
    """The wishes for a study: how many trials, in which order, until when.

    Attributes:
        state: whether trials may begin.
        total: trials of the study in all; None if nobody has said.
        priority: the studies of the highest priority are served first.
        weight: share of the workers among studies of one priority.
        max_workers: how many workers may run its trials at once; None for any number.
        max_seconds: budget of time that its trials may take together; None for any.
        max_failed: budget of failed trials; None for any.
        until: epoch seconds after which no trial begins; None for any time.
        owner: who submitted it; empty if nobody has said.
        tags: words to find it by.
        submitted: epoch seconds; None for a study from before there was a queue.
        version: grows by one with each change.
    """

    state: QueueState = QueueState.OPEN
    total: int | None = None
    priority: int = 0
    weight: float = 1.0
    max_workers: int | None = None
    max_seconds: float | None = None
    max_failed: int | None = None
    until: float | None = None
    owner: str = ""
    tags: tuple[str, ...] = ()
    submitted: float | None = None
    version: int = 0

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> Self:
        """Read it among a study's user attributes; an open one where none can be read."""
        return cls.parse(attributes.get(QUEUE))

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Read what ``to_dict`` gave; an open entry where it cannot be read, or its defaults."""
        if not isinstance(value, Mapping):
            return cls()
        found = {
            field.name: value[field.name]
            for field in fields(cls)
            if field.name in value and _FITS[field.name][0](value[field.name])
        }
        found["state"] = QueueState(found.get("state", QueueState.OPEN))
        found["tags"] = tuple(found.get("tags", ()))
        return cls(**found)

    def to_dict(self) -> dict[str, Any]:
        """Convert it to plain JSON values."""
        return asdict(self) | {"state": self.state.value, "tags": list(self.tags)}

    @classmethod
    def from_words(cls, words: QueueJson) -> Self:
        """Read what ``in_words`` gave."""
        hours, until = words["budget_hours"], words["until"]
        return cls(
            state=QueueState(words["state"]),
            total=words["n_trials"],
            priority=words["priority"],
            weight=words["weight"],
            max_workers=words["max_workers"],
            max_seconds=None if hours is None else hours * 3600.0,
            max_failed=words["max_failed"],
            until=None if until is None else datetime.fromisoformat(until).timestamp(),
            owner=words["owner"],
            tags=tuple(words["tags"]),
            submitted=words["submitted"],
            version=words["version"],
        )

    def in_words(self) -> QueueJson:
        """Write it in the users' words, as plain JSON values."""
        until = None if self.until is None else datetime.fromtimestamp(self.until).astimezone()
        return {
            "state": self.state.value,
            "n_trials": self.total,
            "priority": self.priority,
            "weight": self.weight,
            "max_workers": self.max_workers,
            "budget_hours": None if self.max_seconds is None else self.max_seconds / 3600.0,
            "max_failed": self.max_failed,
            "until": None if until is None else until.isoformat(timespec="seconds"),
            "owner": self.owner,
            "tags": list(self.tags),
            "submitted": self.submitted,
            "version": self.version,
        }

    def amended(self, changes: Mapping[str, Any], words: Mapping[str, str] = {}) -> Self:
        """Give the entry with other values, by the names of the attributes.

        Args:
            changes: the new values.
            words: what users call an attribute, where that is another name.

        Raises:
            DefinitionError: an unknown name, or a value that does not fit.
        """
        for name, value in changes.items():
            if name not in WISHES:
                raise DefinitionError(f"{name}: one of {', '.join(WISHES)} is required")
            fits, required = _FITS[name]
            if not fits(value):
                shown = reprlib.repr(value)
                raise DefinitionError(
                    f"{words.get(name, name)}: {required} is required, got {shown}"
                )
        found = dict(changes)
        if "tags" in found:
            found["tags"] = tuple(dict.fromkeys(found["tags"]))
        return replace(self, **found)

    @property
    def has_budget(self) -> bool:
        """Check whether anything but the total ends it."""
        return any(one is not None for one in (self.until, self.max_failed, self.max_seconds))

    def spent(self, *, failed: int, seconds: float, now: float) -> str:
        """Say which budget is spent; "" while none is.

        Args:
            failed: trials that have failed.
            seconds: that its trials have taken together.
            now: epoch seconds.
        """
        if self.until is not None and now >= self.until:
            return "its time is over"
        if self.max_failed is not None and failed >= self.max_failed:
            return f"{failed} failed trials, of a budget of {self.max_failed}"
        if self.max_seconds is not None and seconds >= self.max_seconds:
            return (
                f"{seconds / 3600:.1f} h of trials, of a budget of {self.max_seconds / 3600:g} h"
            )
        return ""


WISHES = (
    *("total", "priority", "weight", "max_workers", "max_seconds", "max_failed", "until"),
    *("owner", "tags"),
)
"""What users say of a study; the rest follows from what is done with it."""

NOT_SAID = QueueEntry()
"""The entry of a study of which nobody has said what is wanted."""


def _or_none(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


def _is_name(value: Any) -> bool:
    return (
        isinstance(value, str)
        and len(value) <= _LONGEST_NAME
        and is_text(value)
        and value == value.strip()
        and value.isprintable()
    )


def _are_tags(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) <= _MOST_TAGS
        and all(_is_name(tag) and tag for tag in value)
    )


def _is_count(value: Any) -> bool:
    return is_whole(value, _END_OF_TRIALS) and value > 0


_COUNT = f"a whole number from 1 to {_END_OF_TRIALS - 1}, or nothing,"

_FITS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "state": (lambda value: value in list(QueueState), "open, paused or cancelled"),
    "total": (_or_none(_is_count), _COUNT),
    "priority": (
        lambda value: type(value) is int and abs(value) <= _MOST_PRIORITY,
        f"a whole number from -{_MOST_PRIORITY} to {_MOST_PRIORITY}",
    ),
    "weight": (
        lambda value: is_finite(value) and _LEAST_WEIGHT <= value <= _MOST_WEIGHT,
        f"a number from {_LEAST_WEIGHT:g} to {_MOST_WEIGHT:g}",
    ),
    "max_workers": (_or_none(_is_count), _COUNT),
    "max_seconds": (
        _or_none(lambda value: is_finite(value) and 0 < value <= _LONGEST_SECONDS),
        "a time above 0, or nothing,",
    ),
    "max_failed": (_or_none(_is_count), _COUNT),
    "until": (_or_none(is_moment), "a time in epoch seconds, or nothing,"),
    "owner": (_is_name, f"a name of at most {_LONGEST_NAME} characters in one line"),
    "tags": (
        _are_tags,
        f"a list of at most {_MOST_TAGS} words of at most {_LONGEST_NAME} characters",
    ),
    "submitted": (_or_none(is_moment), "a time in epoch seconds, or nothing,"),
    "version": (lambda value: is_whole(value, 2**31), "a whole number"),
}
