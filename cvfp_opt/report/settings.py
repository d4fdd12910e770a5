"""What a study definition searches and sets, in words."""

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from cvfp_opt.report.words import parameter


def range_words(distribution: BaseDistribution) -> str:
    """Write what a parameter is searched in: ``0.0005 to 0.005, log``, or ``a, b``."""
    if isinstance(distribution, CategoricalDistribution):
        return ", ".join(map(str, distribution.choices))
    words = ("low", "high", "log")
    return setting_words({word: getattr(distribution, word, None) for word in words})


def setting_words(value: Any) -> str:
    """Write the value of a key: a range as ``low to high``, a list with commas."""
    if isinstance(value, Mapping) and {"low", "high"} <= value.keys():
        log = ", log" if value.get("log") else ""
        return f"{parameter(value['low'])} to {parameter(value['high'])}{log}"
    if isinstance(value, list | tuple):
        return ", ".join(map(setting_words, value))
    return "none" if value is None or value == "" else parameter(value)


def unsearched(
    changes: Mapping[str, Any], space: Mapping[str, BaseDistribution]
) -> list[tuple[str, Any]]:
    """List the changed keys, ``section.key``, but for the ranges of what is searched."""
    return [(key, one) for key, one in changes.items() if key.removeprefix("space.") not in space]
