"""Shapes of the attributes that this program writes: others write under the same names, too.

Other programs write to the same databases, and may use the same words: an attribute "metrics"
that holds a string is theirs. What has the shape can be read, compared and formatted by all that
comes after; what has not stays out of all reports, and ``study doctor`` names it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from cvfp_opt.store.database.number_checks import is_finite, is_moment, is_number, is_whole

_RATES = ("convergence_rate", "effective_rank")
_READ = dict.fromkeys(("convergence", "convergence_strict", "effective_rank"))
_MOVED = dict.fromkeys(("absolute", "scale_free"))

# Keys that reports read, and that must be there. A mapping stands for one, None for a number.
_NEEDED: Mapping[str, Mapping[str, Any]] = {
    "scored": dict.fromkeys((*_RATES, "score")),
    "metrics": dict.fromkeys(
        (*_RATES, "score", *(f"validation_{name}" for name in (*_RATES, "score")))
    ),
    "downstream": dict.fromkeys(("train_perplexity", "held_out_perplexity")),
    "audit": {
        "baseline": dict.fromkeys((*_RATES, "score", "validation_effective_rank")),
        "frozen_train": _READ,
        "frozen_validation": _READ,
        "frozen_held_out": _READ,
        **dict.fromkeys(
            (
                "absolute_convergence",
                "scale_free_convergence",
                "mean_square",
                "context_norm",
                "lyapunov_exponent",
                "global_attractor",
                "near_zero",
                "identity_map",
            )
        ),
    },
}
# Keys that later versions added to an audit.
_ADDED = {"training_validation": _MOVED, "training_held_out": _MOVED}

_SECTIONS = "objective space model training diversity schedule data embedding search"
SECTIONS = frozenset(_SECTIONS.split())
"""The sections of a study definition."""

_KEY = re.compile(rf"({'|'.join(sorted(SECTIONS))})\..+", re.DOTALL)
_SPLITS = ("train", "validation", "held_out")
_MAX_SEED = 2**63
# No value of a definition is nested as deep.
_MAX_DEPTH = 4


def is_ours(key: str, value: Any) -> bool:
    """Check if a trial's user attribute has the shape of what this program writes there."""
    if key in ("status", "reason"):
        return isinstance(value, str)
    if key == "iterations":
        return isinstance(value, list) and all(map(_is_table, value))
    if not isinstance(value, dict):
        return False
    if key == "environment":
        return _is_environment(value)
    if key == "seconds":
        return all(is_finite(spent) and spent >= 0.0 for spent in value.values())
    if key == "audit":
        added = all(value.get(name) is None or _has(value[name], _ADDED[name]) for name in _ADDED)
        quantiles = value.get("residual_quantiles", [0.0, 0.0])
        if not (added and _are_quantiles(quantiles)):
            return False
    return not value or (_is_table(value, key == "audit") and _has(value, _NEEDED.get(key, {})))


def is_definition(value: Any) -> bool:
    """Check if a value has the shape of a study definition as it is recorded, section by section.

    Whether it can be searched by, ``StudyDefinition.from_dict`` decides.
    """
    if not isinstance(value, dict) or not {"objective", "space", "search"} <= value.keys():
        return False
    for section in value.values():
        if not isinstance(section, dict) or not _is_plain(section, _MAX_DEPTH):
            return False
    return (
        _is_objective(value["objective"])
        and all(map(_is_dimension, value["space"].values()))
        and is_whole(value["search"].get("seed"), _MAX_SEED)
    )


def is_drift(value: Any) -> bool:
    """Check whether a value is a trial's account of an allowed drift."""
    if not isinstance(value, dict):
        return False
    keys, located = value.get("keys", {}), value.get("located", {})
    if not isinstance(keys, dict) or not isinstance(located, dict):
        return False
    changed = (key.partition(".") for key in keys)
    names = [*located, *(name for head, _, name in changed if head == "definition")]
    return are_keys(names)


def are_keys(names: Iterable[Any]) -> bool:
    """Check whether all are keys of a definition: ``section.key``."""
    return all(isinstance(name, str) and _KEY.fullmatch(name) for name in names)


def _is_environment(value: dict[str, Any]) -> bool:
    return (
        is_drift(value.get("drift", {}))
        and isinstance(value.get("versions", {}), dict)
        and is_moment(value.get("finished", 0.0))
    )


def _are_quantiles(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1 and all(map(is_number, value))


def _is_table(value: Any, nested: bool = False) -> bool:
    """Check if a value is a table of figures, some of which may be missing; no rates."""
    if not isinstance(value, dict):
        return False
    figures = all(
        one is None
        or is_number(one)
        or (nested and (isinstance(one, list) or (isinstance(one, dict) and _is_table(one))))
        for one in value.values()
    )
    return figures and not any((value.get(name) or 0.0) < 0.0 for name in _RATES)


def _is_objective(value: dict[str, Any]) -> bool:
    known = (("kind", ("score", "pareto")), ("convergence", ("training", "frozen")))
    return (
        all(value.get(name, words[0]) in words for name, words in known)
        and value.get("split", "train") in _SPLITS
        and isinstance(value.get("downstream", False), bool)
        and (value.get("threshold", "trial") == "trial" or is_finite(value["threshold"]))
        and is_finite(value.get("convergence_weight", 0.5))
    )


def _is_dimension(value: Any) -> bool:
    """Check whether a value is a range, a list of words, or a constant."""
    if isinstance(value, dict):
        low: Any = value.get("low")
        high: Any = value.get("high")
        log = value.get("log", False)
        is_range = is_finite(low) and is_finite(high) and low < high and isinstance(log, bool)
        return is_range and (not log or low > 0)
    return isinstance(value, str | list | tuple) or is_finite(value)


def _is_plain(value: Any, depth: int) -> bool:
    """Check whether TOML has a way to write a value; it knows nothing of null."""
    if isinstance(value, dict | list | tuple):
        inner = value.values() if isinstance(value, dict) else value
        return depth > 0 and all(_is_plain(one, depth - 1) for one in inner)
    return isinstance(value, str) or is_number(value)


def _has(value: Any, needed: Mapping[str, Any] | None) -> bool:
    if needed is None:
        return is_number(value)
    return isinstance(value, dict) and all(
        name in value and _has(value[name], inner) for name, inner in needed.items()
    )
