"""Hooks: whom to tell what, and how."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Protocol

from cvfp_opt.errors import NotifyError, nearest
from cvfp_opt.store.database.number_checks import is_finite
from cvfp_opt.store.record.event import Event, EventKind

# A name is a key of the database, and some servers tell no case.
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_LONGEST_TEXT = 4096
COMMON = ("kind", "events", "studies", "timeout")
_LEAST_SECONDS, _MOST_SECONDS = 0.1, 60.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of telling a hook.

    Attributes:
        why: why it was not told, in one line without secrets; "" if it was.
        gone: whether it wants to hear nothing any more.
    """

    why: str = ""
    gone: bool = False


class Channel(Protocol):
    """A way to tell somebody. Whatever goes wrong is an outcome."""

    @property
    def shown(self) -> str:
        """The receiver, for people: no secret is in it."""

    def deliver(self, event: Event, seconds: float) -> Outcome:
        """Tell an event within so many seconds, about."""


@dataclass(frozen=True, kw_only=True)
class Hook:
    """Somebody to be told.

    Attributes:
        name: of the hook; one database has one hook of a name, whoever sends to it.
        kind: of its channel, a key of notify.kinds.KINDS.
        channel: how it is told.
        events: kinds of events that it is told; empty for all.
        studies: names of studies that it is told of, with wildcards; empty for all.
        seconds: for which it is waited.
    """

    name: str
    kind: str
    channel: Channel
    events: tuple[str, ...] = ()
    studies: tuple[str, ...] = ()
    seconds: float = 10.0

    def wants(self, event: Event) -> bool:
        """Check whether it is to be told an event."""
        return (not self.events or event.kind in self.events) and (
            not self.studies or any(fnmatchcase(event.study, one) for one in self.studies)
        )

    def deliver(self, event: Event) -> Outcome:
        """Tell it."""
        return self.channel.deliver(event, self.seconds)


class Keys:
    """The keys of a hook, taken one after the other; whoever is left over is refused.

    Args:
        where: what messages begin with.
        values: of the file.
    """

    def __init__(self, where: str, values: Mapping[str, Any]) -> None:
        self.where = where
        self._values = dict(values)

    def text(self, key: str) -> str:
        """Take a text that must be there."""
        value = self._values.pop(key, None)
        if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_TEXT or "\0" in value:
            raise self.refusal(key, "a text is required", value)
        return value

    def optional_text(self, key: str) -> str:
        """Take a text, "" if it is not there."""
        return self.text(key) if key in self._values else ""

    def texts(self, key: str, *, required: bool = False) -> tuple[str, ...]:
        """Take a list of texts."""
        value = self._values.pop(key, None if required else [])
        good = isinstance(value, list) and all(
            isinstance(one, str) and one and "\0" not in one for one in value
        )
        if not good or (required and not value):
            raise self.refusal(key, "a list of texts is required", value)
        return tuple(value)

    def seconds(self, key: str, default: float) -> float:
        """Take a time."""
        value = self._values.pop(key, default)
        if not is_finite(value) or not _LEAST_SECONDS <= value <= _MOST_SECONDS:
            required = f"seconds from {_LEAST_SECONDS:g} to {_MOST_SECONDS:g} are required"
            raise self.refusal(key, required, value)
        return float(value)

    def rest(self, valid: tuple[str, ...]) -> None:
        """Refuse what nobody took."""
        for key in self._values:
            raise NotifyError(f"{self.where}.{key}: unknown key; {nearest(key, valid)}")

    def refusal(self, key: str, required: str, value: object) -> NotifyError:
        """Make the error for a value; of what may be a secret the kind is named alone."""
        got = "nothing" if value is None else f"{type(value).__name__}"
        if isinstance(value, int | float):
            got = str(value)
        return NotifyError(f"{self.where}.{key}: {required}, got {got}")


def check_name(where: str, name: str) -> None:
    """Refuse what cannot be the name of a hook. Raises NotifyError."""
    if not _NAME.fullmatch(name):
        raise NotifyError(
            f"{where}: a name of at most 64 small letters, digits, - and _ is required, "
            f"got {name!r}"
        )


def check_events(keys: Keys, events: tuple[str, ...]) -> None:
    """Refuse kinds of events that there are not. Raises NotifyError."""
    known = [kind.value for kind in EventKind if kind is not EventKind.TEST]
    for one in events:
        if one not in known:
            raise NotifyError(f"{keys.where}.events: unknown kind {one!r}; {nearest(one, known)}")
