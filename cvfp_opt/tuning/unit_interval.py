"""Searched ranges as the interval from 0 to 1: for methods that know only that."""

import math

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from cvfp_opt.tuning.typed_values import brief

Numbers = FloatDistribution | IntDistribution


def value_at(one: BaseDistribution, share: float) -> float | int | str:
    """Give the value below which that share of a distribution's draws lies."""
    if isinstance(one, CategoricalDistribution):
        return str(one.choices[min(int(share * len(one.choices)), len(one.choices) - 1)])
    assert isinstance(one, Numbers), brief(one)
    low, high = _ends(one)
    value = low + share * (high - low)
    value = math.exp(value) if one.log else value
    value = min(max(value, one.low), one.high)
    return round(value) if isinstance(one, IntDistribution) else value


def share_of(one: Numbers, value: float) -> float:
    """Give the share of a distribution's draws that lie below a value."""
    low, high = _ends(one)
    return ((math.log(value) if one.log else value) - low) / (high - low)


def _ends(one: Numbers) -> tuple[float, float]:
    """Give the ends of a range, on its own scale; a whole number has all that is rounded to it."""
    margin = 0.5 if isinstance(one, IntDistribution) else 0.0
    low, high = one.low - margin, one.high + margin
    return (math.log(low), math.log(high)) if one.log else (low, high)
