"""The search space: the seed's four parameters, each a range or a value."""

import math
from dataclasses import dataclass, fields
from typing import Any

import optuna

from cvfp_opt.errors import DefinitionError, nearest
from cvfp_opt.training.config import Hyperparameters

# Where each parameter may lie at all: (least, most, whether least itself is excluded).
LIMITS: dict[str, tuple[float, float, bool]] = {
    "dist_reg_weight": (0.0, 1.0, False),
    "phase1_learning_rate": (0.0, math.inf, True),
    "phase1_convergence_threshold": (0.0, math.inf, True),
    "layernorm_mix": (0.0, 1.0, False),
}


@dataclass(frozen=True, kw_only=True)
class FloatRange:
    """A searched parameter: uniform on [low, high], or log-uniform.

    Attributes:
        low, high: low < high.
        log: search the logarithm; needs low > 0.
    """

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """Each parameter as a FloatRange or a fixed value; see Hyperparameters."""

    dist_reg_weight: FloatRange | float = FloatRange(low=0.1, high=0.9)
    phase1_learning_rate: FloatRange | float = FloatRange(low=0.0005, high=0.005, log=True)
    phase1_convergence_threshold: FloatRange | float = FloatRange(low=0.05, high=0.5)
    layernorm_mix: FloatRange | float = FloatRange(low=0.5, high=1.0)

    def __post_init__(self) -> None:
        for name in LIMITS:
            value = getattr(self, name)
            if isinstance(value, FloatRange):
                _check_range(name, value)
                _check_limits(name, value.low)
                _check_limits(name, value.high)
            else:
                _check_limits(name, value)

    def suggest(self, trial: optuna.Trial) -> Hyperparameters:
        """The trial's parameters; fixed ones are no parameters of the trial."""
        chosen = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, FloatRange):
                value = trial.suggest_float(field.name, value.low, value.high, log=value.log)
            chosen[field.name] = value
        return Hyperparameters(**chosen)


def read_parameter(name: str, value: Any) -> FloatRange | float:
    """One value of ``[space]`` as TOML or JSON gives it.

    Raises:
        DefinitionError: neither a number nor a table of low, high and log.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    shape = f"space.{name}: a number or {{ low = ..., high = ..., log = true|false }} is required"
    if not isinstance(value, dict):
        raise DefinitionError(f"{shape}, got {value!r}")
    for key in value:
        if key not in ("low", "high", "log"):
            raise DefinitionError(
                f"space.{name}: unknown key {key!r}; {nearest(key, ('low', 'high', 'log'))}"
            )
    numbers = {key: value[key] for key in ("low", "high") if key in value}
    for number in numbers.values():
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise DefinitionError(f"{shape}, got {value!r}")
    if len(numbers) < 2 or not isinstance(value.get("log", False), bool):
        raise DefinitionError(f"{shape}, got {value!r}")
    return FloatRange(
        low=float(value["low"]), high=float(value["high"]), log=value.get("log", False)
    )


def _check_range(name: str, value: FloatRange) -> None:
    if not value.low < value.high:
        raise DefinitionError(
            f"space.{name}: low < high must hold, got low={value.low:g}, high={value.high:g}; "
            f"to search no range, give a value: {name} = {value.low:g}"
        )
    if value.log and value.low <= 0:
        raise DefinitionError(
            f"space.{name}: a log range needs low > 0, got low={value.low:g}; "
            "raise it or leave log out"
        )


def _check_limits(name: str, value: float) -> None:
    least, most, open_below = LIMITS[name]
    inside = (least < value if open_below else least <= value) and value <= most
    if not (inside and math.isfinite(value)):
        wanted = "a positive number" if open_below else f"a number in [{least:g}, {most:g}]"
        raise DefinitionError(f"space.{name}: {wanted} is required, got {value:g}")
