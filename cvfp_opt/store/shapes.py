"""The shape of what this program writes to a trial, to tell it from what others wrote.

Other programs write to the same databases, and may use the same words: an attribute "metrics"
that holds a string is theirs.
"""

from collections.abc import Mapping
from typing import Any

_RATES = ("convergence_rate", "effective_rank")
_READ = dict.fromkeys(("convergence", "convergence_strict", "effective_rank"))

# What reports read; all that need be there. A mapping stands for one, None for a number.
_NEEDED: Mapping[str, Mapping[str, Any]] = {
    "scored": dict.fromkeys((*_RATES, "score")),
    "metrics": dict.fromkeys(
        (*_RATES, "score", *(f"validation_{name}" for name in (*_RATES, "score")))
    ),
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


def is_ours(key: str, value: Any) -> bool:
    """Whether a trial's user attribute has the shape of what this program writes there."""
    if key in ("status", "reason"):
        return isinstance(value, str)
    if key == "iterations":
        return isinstance(value, list) and all(isinstance(one, dict) for one in value)
    if not isinstance(value, dict):
        return False
    if key == "environment":
        return isinstance(value.get("drift", {}), dict)
    if key == "seconds":
        return all(isinstance(spent, int | float) for spent in value.values())
    return not value or _has(value, _NEEDED.get(key, {}))


def _has(value: Any, needed: Mapping[str, Any] | None) -> bool:
    if needed is None:
        return isinstance(value, int | float)
    return isinstance(value, dict) and all(
        name in value and _has(value[name], inner) for name, inner in needed.items()
    )
