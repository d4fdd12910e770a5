"""Wishes for a study in the queue, in the words of commands and of Python."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypedDict

from cvfp_opt.errors import DefinitionError
from cvfp_opt.store.record.owner import this_owner
from cvfp_opt.store.record.queue_entry import NOT_SAID, QueueEntry
from cvfp_opt.tuning.typed_values import brief


class Wishes(TypedDict, total=False):
    """The wishes that users may state for a study; None for no limit."""

    n_trials: int
    priority: int
    weight: float
    max_workers: int | None
    budget_hours: float | None
    max_failed: int | None
    until: datetime | str | None
    owner: str
    tags: Sequence[str]


# the attributes of QueueEntry, where they have other names
_ATTRIBUTES = {"n_trials": "total", "budget_hours": "max_seconds"}
_WORDS = {attribute: word for word, attribute in _ATTRIBUTES.items()}


def changes_of(wishes: Wishes) -> dict[str, Any]:
    """Convert wishes to values of QueueEntry, by the names of its attributes.

    Raises:
        DefinitionError: a time that cannot be read, or no number where one is required.
    """
    found: dict[str, Any] = {}
    for word, value in wishes.items():
        if word not in Wishes.__annotations__:
            raise DefinitionError(
                f"{word}: one of {', '.join(Wishes.__annotations__)} is required"
            )
        if word == "budget_hours" and value is not None:
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise DefinitionError(
                    f"budget_hours: hours above 0 are required, got {brief(value)}"
                )
            value = value * 3600.0
        elif word == "until" and value is not None:
            value = _moment(value)
        elif word == "tags":
            value = [value] if isinstance(value, str) else value
        found[_ATTRIBUTES.get(word, word)] = value
    NOT_SAID.amended(found, words=_WORDS)
    return found


def wishes_of(entry: QueueEntry) -> dict[str, Any]:
    """Write what is wanted of a study in the users' words, as plain JSON values."""
    words: dict[str, Any] = {**entry.in_words()}
    return {word: words[word] for word in Wishes.__annotations__}


def new_entry(changes: Mapping[str, Any]) -> QueueEntry:
    """Make the entry of a study that begins now, by default of whoever runs this."""
    entry = replace(NOT_SAID, owner=this_owner(), submitted=time.time())
    return entry.amended(changes, words=_WORDS)


def _moment(value: object) -> float:
    """Convert a time to epoch seconds; one without a zone is of this machine's."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else value
        if not isinstance(found, datetime):
            raise ValueError
        return found.timestamp()
    except (ValueError, OverflowError, OSError):
        raise DefinitionError(
            f"until: a time as 2027-01-31T18:00 is required, got {brief(value)}"
        ) from None
