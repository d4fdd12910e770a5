"""The searched parameters as axes."""

import math
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from cvfp_opt.report.rows import finite
from cvfp_opt.report.words import parameter, short_name
from cvfp_opt.store.record.summary import Summary


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """One searched parameter.

    Attributes:
        name: Optuna's.
        choices: as words, if it is one of several; empty if it is a number.
        low, high: bounds of its range; of choices the first and last place.
        log: whether its logarithm was searched.
    """

    name: str
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 1.0
    log: bool = False

    @property
    def label(self) -> str:
        """Its short name."""
        return short_name(self.name)

    def place(self, value: Any) -> float | None:
        """Place a value between ``low`` (0) and ``high`` (1), on the scale of the search."""
        if self.choices:
            if str(value) not in self.choices:
                return None
            return self.choices.index(str(value)) / max(len(self.choices) - 1, 1)
        at = finite(value)
        if at is None or (self.log and at <= 0):
            return None
        low, high = self.low, self.high
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return (at - low) / (high - low) if high > low else 0.5

    @property
    def ends(self) -> tuple[str, str]:
        """Its two ends, in words."""
        if self.choices:
            return self.choices[0], self.choices[-1]
        return parameter(self.low, 3), parameter(self.high, 3)


def dimensions(summary: Summary) -> tuple[Dimension, ...]:
    """List the parameters of a study that have more than one possible value, in their order."""
    found = [_dimension(name, one) for name, one in summary.distributions.items()]
    return tuple(d for d in found if len(d.choices) > 1 or (not d.choices and d.high > d.low))


def _dimension(name: str, distribution: BaseDistribution) -> Dimension:
    if isinstance(distribution, CategoricalDistribution):
        return Dimension(name=name, choices=tuple(map(str, distribution.choices)))
    low, high = float(getattr(distribution, "low", 0.0)), float(getattr(distribution, "high", 0.0))
    return Dimension(name=name, low=low, high=high, log=bool(getattr(distribution, "log", False)))


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A complete trial: its number, value and parameters, and whether it can be the best."""

    number: int
    value: float
    params: dict[str, Any]
    feasible: bool = True


def tried(summary: Summary) -> tuple[Tried, ...]:
    """List complete trials with a value that can be drawn, by number."""
    return tuple(
        Tried(number=trial.number, value=value, params=trial.params, feasible=trial.feasible)
        for trial in summary.trials
        if trial.state == "complete" and (value := finite(trial.value)) is not None
    )
