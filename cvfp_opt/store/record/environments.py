"""What two trials ran on, or a study and a worker, compared: which differences change numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any


class Level(IntEnum):
    """What a difference means for whoever joins a study."""

    HARMLESS = 1  # recorded with each trial
    NUMBERS = 2  # the same trial may give other bits: said, and shown as a segment
    REFUSED = 3  # not the same study any more


# docs/drift.md explains each. Of a version, only a change of its first two parts counts as much
# as is written here; a patch release is harmless.
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
_UNKNOWN = (None, "unknown")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One key in which two differ.

    Attributes:
        key: of LEVELS; a key of the definition, or a name of code, follows after a dot.
        theirs, ours: the values; None for none.
        level: what it means.
    """

    key: str
    theirs: Any
    ours: Any
    level: Level

    @property
    def name(self) -> str:
        """The key as it is said: ``torch``, ``training.num_epochs``."""
        for prefix in ("versions.", "definition.", "code."):
            if self.key.startswith(prefix):
                return self.key.removeprefix(prefix)
        return self.key


def compare(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[Difference]:
    """The keys of LEVELS in which two differ, in the order of LEVELS.

    What only one of them knows of its environment is no difference: older versions recorded less.
    Of definition, data and code all is known, and what one lacks is a difference.
    """
    flat_theirs, flat_ours = _flat(theirs), _flat(ours)
    found = []
    for key in dict.fromkeys((*flat_theirs, *flat_ours)):
        before, now = flat_theirs.get(key), flat_ours.get(key)
        level = _level(key, before, now)
        if level is not None and before != now:
            found.append(Difference(key=key, theirs=before, ours=now, level=level))
    order = list(LEVELS)
    return sorted(found, key=lambda one: order.index(_group(one.key)))


def release(version: Any) -> str:
    """A version's first two parts: 2.13 of 2.13.0+cpu."""
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
    """The key of LEVELS that rules a flat one."""
    return key if key in LEVELS else key.partition(".")[0]


def _flat(facts: Mapping[str, Any]) -> dict[str, Any]:
    """One level of tables as ``table.key``; an allowed drift stays whole."""
    flat: dict[str, Any] = {}
    for key, value in facts.items():
        if key in ("versions", "definition", "code") and isinstance(value, Mapping):
            flat.update({f"{key}.{inner}": one for inner, one in value.items()})
        else:
            flat[key] = value
    return flat
