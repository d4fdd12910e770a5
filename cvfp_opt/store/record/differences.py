"""Is it the same? The one comparison of what was recorded with what there is now.

A trial is compared with the machine that repeats it, a study with the worker that joins it, and
a trial with another. Every difference has a level. One that would make it another study is
refused, unless the user allows it; then the study records it for ever.
"""

import getpass
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any

import optuna

from cvfp_opt.store.database.number_checks import is_moment

# Study user attribute: a list of AllowedDrift that is only ever appended to.
DRIFT = "cvfp_opt:drift"


class Level(IntEnum):
    """The level of a difference: what it means for a worker that joins a study."""

    HARMLESS = 1  # recorded with each trial
    NUMBERS = 2  # the same trial may give other bits: shown at a join and in reports
    REFUSED = 3  # not the same study any more


# docs/drift.md explains each key. A version is at this level if its first two parts change; a
# patch release is harmless.
LEVELS: Mapping[str, Level] = {
    "host": Level.HARMLESS,
    "platform": Level.HARMLESS,
    "commit": Level.HARMLESS,
    "versions.python": Level.HARMLESS,
    "versions.tokenizers": Level.HARMLESS,
    "versions.cvfp-opt": Level.NUMBERS,
    "versions.torch": Level.NUMBERS,
    "versions.optuna": Level.NUMBERS,
    "versions.numpy": Level.NUMBERS,
    "versions.numba": Level.NUMBERS,
    "uncommitted": Level.NUMBERS,
    "device": Level.NUMBERS,
    "gpu": Level.NUMBERS,
    "processor": Level.NUMBERS,
    "reader": Level.NUMBERS,
    "bfloat16": Level.NUMBERS,
    "threads": Level.NUMBERS,
    "lanes": Level.NUMBERS,
    "definition": Level.REFUSED,
    "data": Level.REFUSED,
    "embedding": Level.REFUSED,
    "code": Level.REFUSED,
    "drift": Level.REFUSED,
}
# Values of the environment that were not recorded: they are no difference to anything.
_UNKNOWN = (None, "unknown")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One key with two values.

    Attributes:
        key: of LEVELS; a key of the definition, or a name of code, follows after a dot.
        theirs, ours: the value that was recorded, and the one of now; None for none.
        level: what the difference means.
    """

    key: str
    theirs: Any
    ours: Any
    level: Level

    @property
    def name(self) -> str:
        """The key as a message shows it: ``torch``, ``training.num_epochs``."""
        for prefix in ("versions.", "definition.", "code."):
            if self.key.startswith(prefix):
                return self.key.removeprefix(prefix)
        return self.key


def differences(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    """Compare what was recorded with what there is now, by the keys of LEVELS and in their order.

    A part of the environment that only one side knows is no difference: older versions recorded
    less. Definition, data and code are always recorded, so a missing one is a difference.
    """
    flat_then, flat_now = _flat(recorded), _flat(now)
    found = []
    for key in dict.fromkeys((*flat_then, *flat_now)):
        then, value = flat_then.get(key), flat_now.get(key)
        level = _level(key, then, value)
        if level is not None and then != value:
            found.append(Difference(key=key, theirs=then, ours=value, level=level))
    order = list(LEVELS)
    return sorted(found, key=lambda one: order.index(_group(one.key)))


def refused(found: Iterable[Difference]) -> list[Difference]:
    """Select the differences that make it another study or trial."""
    return [one for one in found if one.level is Level.REFUSED]


def changing_numbers(found: Iterable[Difference]) -> list[Difference]:
    """Select the differences by which the same trial may give other bits."""
    return [one for one in found if one.level is Level.NUMBERS]


def in_words(found: Iterable[Difference]) -> str:
    """Write ``torch 2.13.0 (was 2.12.0), threads 2 (was 1)``; "" for no difference."""
    return ", ".join(f"{one.name} {one.ours} (was {one.theirs})" for one in found)


def release(version: Any) -> str:
    """Take the first two parts of a version: 2.13 of 2.13.0+cpu."""
    return ".".join(str(version).split("+")[0].split(".")[:2])


def _level(key: str, theirs: Any, ours: Any) -> Level | None:
    group = _group(key)
    if group not in LEVELS:
        return None
    level = LEVELS[group]
    if level is Level.REFUSED:
        return level
    if theirs in _UNKNOWN or ours in _UNKNOWN:
        return None
    if group.startswith("versions.") and release(theirs) == release(ours):
        return Level.HARMLESS
    return level


def _group(key: str) -> str:
    """Find the key of LEVELS that a flat key belongs to."""
    return key if key in LEVELS else key.partition(".")[0]


def _flat(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten one level of tables to ``table.key``; an allowed drift stays whole."""
    flat: dict[str, Any] = {}
    for key, value in facts.items():
        if key in ("versions", "definition", "code") and isinstance(value, Mapping):
            flat.update({f"{key}.{inner}": one for inner, one in value.items()})
        else:
            flat[key] = value
    return flat


@dataclass(frozen=True, kw_only=True)
class AllowedDrift:
    """One time that trials were added by another definition, text or code than the study's.

    Attributes:
        when: epoch seconds.
        who: user@host.
        what: by key, the study's value and the one that was used.
    """

    when: float
    who: str
    what: dict[str, list[Any]]


def read_drift(study: optuna.Study) -> list[AllowedDrift]:
    """Read every drift that was allowed, oldest first."""
    value = study.user_attrs.get(DRIFT, [])
    found = []
    for entry in value if isinstance(value, list) else []:
        if _is_entry(entry):  # and not another program's, or a newer version's
            found.append(AllowedDrift(**entry))
    return found


def _is_entry(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"when", "who", "what"}
        and is_moment(value["when"])
        and isinstance(value["who"], str)
        and isinstance(value["what"], dict)
    )


def record_drift(study: optuna.Study, allowed: Sequence[Difference]) -> None:
    """Append differences to those that were allowed. Call under the store's lock.

    The same by the same user is recorded once: twenty workers that join are one decision.
    """
    what = {one.key: [_plain(one.theirs), _plain(one.ours)] for one in allowed}
    entry = AllowedDrift(when=time.time(), who=_who(), what=what)
    before = read_drift(study)
    if any((one.who, one.what) == (entry.who, entry.what) for one in before):
        return
    written = study.user_attrs.get(DRIFT, [])
    study.set_user_attr(DRIFT, [*(written if isinstance(written, list) else []), asdict(entry)])


def _plain(value: Any) -> Any:
    """Give a value as JSON gives it back, so that entries can be compared."""
    return list(value) if isinstance(value, tuple) else value


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
