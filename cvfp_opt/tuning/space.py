"""The search space: four main parameters, and any other setting that a trial may choose.

A setting is a key of another section, named ``section.key``: ``schedule.balanced_weight``,
``diversity.loss``; one entry of a list is ``schedule.stage_weights[0]``.
"""

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self, get_args, get_origin, get_type_hints

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from cvfp_opt.errors import DefinitionError, nearest
from cvfp_opt.model.config import DiversityConfig
from cvfp_opt.model.schedules import ScheduleConfig
from cvfp_opt.training.config import TrainingConfig
from cvfp_opt.tuning.typed_values import hint

# Each parameter may lie in these limits: (least, most, whether least itself is excluded).
LIMITS: dict[str, tuple[float, float, bool]] = {
    "dist_reg_weight": (0.0, 1.0, False),
    "phase1_learning_rate": (0.0, math.inf, True),
    "phase1_convergence_threshold": (0.0, math.inf, True),
    "layernorm_mix": (0.0, 1.0, False),
}

# These settings may be searched. Those that decide how long or on what a trial is measured may
# not: trials could not be compared.
_SEARCHABLE: Mapping[type, tuple[str, ...]] = {
    DiversityConfig: ("diversity", "loss", "mean_momentum"),
    ScheduleConfig: (
        "schedule",
        "kind",
        "stage_weights",
        "rank_limit",
        "convergence_limit",
        "low_rank_weight",
        "low_convergence_weight",
        "balanced_weight",
    ),
    TrainingConfig: (
        "training",
        "minibatch_size",
        "num_epochs",
        "learning_rate_schedule",
        "gradient_clip",
    ),
}
SETTINGS: Mapping[str, Any] = {
    f"{section}.{key}": get_type_hints(kind)[key]
    for kind, (section, *keys) in _SEARCHABLE.items()
    for key in keys
}
"""Type of each setting that may be searched, by name."""


@dataclass(frozen=True, kw_only=True)
class FloatRange:
    """A searched number: uniform on [low, high], or log-uniform.

    Attributes:
        low, high: low < high.
        log: search the logarithm; needs low > 0.
    """

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True, kw_only=True)
class IntRange:
    """A searched whole number, from low to high; see FloatRange."""

    low: int
    high: int
    log: bool = False


Range = FloatRange | IntRange
Choices = tuple[str, ...]
"""A searched word: two different ones at least."""
Constant = float | int | str
Dimension = Range | Choices | Constant


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """What is searched: each parameter as a FloatRange or a fixed value; see Hyperparameters.

    Attributes:
        settings: What else is searched, by name; a constant overrules the setting's own section.
    """

    dist_reg_weight: FloatRange | float = FloatRange(low=0.1, high=0.9)
    phase1_learning_rate: FloatRange | float = FloatRange(low=0.0005, high=0.005, log=True)
    phase1_convergence_threshold: FloatRange | float = FloatRange(low=0.05, high=0.5)
    layernorm_mix: FloatRange | float = FloatRange(low=0.5, high=1.0)
    settings: Mapping[str, Dimension] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, dimension in self.dimensions.items():
            if isinstance(dimension, Range):
                _check_range(name, dimension)
        for name in LIMITS:
            value = getattr(self, name)
            for number in (value.low, value.high) if isinstance(value, FloatRange) else (value,):
                _check_limits(name, number)

    @property
    def dimensions(self) -> dict[str, Dimension]:
        """Give parameters and settings by name, searched or not."""
        return {name: getattr(self, name) for name in LIMITS} | dict(self.settings)

    @property
    def searched(self) -> dict[str, Range | Choices]:
        """Give what is searched: the parameters of Optuna's trials."""
        return {
            n: d
            for n, d in self.dimensions.items()
            if isinstance(d, FloatRange | IntRange | tuple)
        }

    def corners(self) -> Iterator[dict[str, Constant]]:
        """Yield points that, if valid, make the space valid: all choices, with lows and highs."""
        choices = {n: d for n, d in self.searched.items() if isinstance(d, tuple)}
        ranges = {n: d for n, d in self.searched.items() if isinstance(d, Range)}
        for chosen in itertools.product(*choices.values()):
            for side in ("low", "high"):
                point = dict(zip(choices, chosen, strict=True))
                yield point | {name: getattr(one, side) for name, one in ranges.items()}

    def suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        """Draw a trial's parameters; fixed ones are no parameters of a trial."""
        for name, dimension in self.searched.items():
            if isinstance(dimension, FloatRange):
                trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log)
            elif isinstance(dimension, IntRange):
                trial.suggest_int(name, dimension.low, dimension.high, log=dimension.log)
            else:
                trial.suggest_categorical(name, dimension)
        return trial.params

    def distributions(self) -> dict[str, BaseDistribution]:
        """Give the distributions that ``suggest`` draws from, by name."""
        return {name: _distribution(one) for name, one in self.searched.items()}

    @classmethod
    def from_dict(cls, section: Mapping[str, Any]) -> Self:
        """Read ``[space]`` as TOML or JSON give it, settings as ``section.key`` or nested.

        Raises:
            DefinitionError: an unknown name; a value that is no dimension.
        """
        values: dict[str, Any] = {}
        settings: dict[str, Dimension] = {}
        for name, value in flattened(section):
            base, bracket, index = name.partition("[")
            if bracket and not re.fullmatch(r"\d+\]", index):
                raise DefinitionError(f'space.{name}: a place is written "{base}[0]"')
            if name in LIMITS:
                values[name] = _read_number(name, float, value)
            elif base not in SETTINGS:
                raise DefinitionError(
                    f"space.{name}: unknown key; {nearest(name, [*LIMITS, *SETTINGS])}"
                )
            elif get_origin(SETTINGS[base]) is not tuple:
                if bracket:
                    raise DefinitionError(f"space.{name}: {base} is no list; leave [{index} out")
                settings[name] = _read_setting(name, SETTINGS[base], value)
            else:
                one = get_args(SETTINGS[base])[0]
                if not bracket and not isinstance(value, list | tuple):
                    raise DefinitionError(
                        f"space.{name}: a list with one entry per place is required, or one "
                        f'place as "{name}[0]", got {value!r}'
                    )
                places = (
                    {name: value} if bracket else {f"{name}[{i}]": v for i, v in enumerate(value)}
                )
                settings |= {place: _read_setting(place, one, v) for place, v in places.items()}
        return cls(**values, settings=settings)

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values; ``from_dict`` reads them back."""
        return {name: _plain(dimension) for name, dimension in self.dimensions.items()}


def flattened(section: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Name settings in full that TOML reads as tables: ``schedule.kind = ...`` in ``[space]``."""
    sections = {name.partition(".")[0] for name in SETTINGS}
    for name, value in section.items():
        if name in sections and isinstance(value, dict):
            yield from ((f"{name}.{key}", inner) for key, inner in value.items())
        else:
            yield name, value


def _plain(dimension: Dimension) -> Any:
    if isinstance(dimension, FloatRange | IntRange):
        return asdict(dimension)
    return list(dimension) if isinstance(dimension, tuple) else dimension


def _read_setting(name: str, kind: type, value: Any) -> Dimension:
    """Read a searched setting: a range of numbers, a list of words, or a constant."""
    if kind is not str:
        return _read_number(name, kind, value)
    if isinstance(value, str):
        return value
    words = list(value) if isinstance(value, list | tuple) else []
    are_words = all(isinstance(word, str) for word in words)
    if not are_words or len(words) < 2 or len(set(words)) < len(words):
        raise DefinitionError(
            f"space.{name}: a list of at least two different words is required, "
            f'for instance ["a", "b"], got {value!r}'
        )
    return tuple(words)


def _read_number(name: str, kind: type, value: Any) -> Range | float:
    """Read a range of numbers of that kind, or one number.

    Raises:
        DefinitionError: neither a number nor a table of low, high and log.
    """
    if _is_number(kind, value):
        number: float = kind(value)
        return number
    wanted = "whole number" if kind is int else "number"
    shape = (
        f"space.{name}: a {wanted} or {{ low = ..., high = ..., log = true|false }} is required"
    )
    if not isinstance(value, dict):
        raise DefinitionError(f"{shape}, got {value!r}{hint(value, (kind,))}")
    for key in value:
        if key not in ("low", "high", "log"):
            raise DefinitionError(
                f"space.{name}: unknown key {key!r}; {nearest(key, ('low', 'high', 'log'))}"
            )
    ends = [value[key] for key in ("low", "high") if key in value]
    log = value.get("log", False)
    if (
        len(ends) < 2
        or not all(_is_number(kind, end) for end in ends)
        or not isinstance(log, bool)
    ):
        raise DefinitionError(f"{shape}, got {value!r}")
    if kind is int:
        return IntRange(low=value["low"], high=value["high"], log=log)
    return FloatRange(low=float(value["low"]), high=float(value["high"]), log=log)


def _distribution(dimension: Range | Choices) -> BaseDistribution:
    if isinstance(dimension, FloatRange):
        return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
    if isinstance(dimension, IntRange):
        return IntDistribution(dimension.low, dimension.high, log=dimension.log)
    return CategoricalDistribution(dimension)


def _is_number(kind: type, value: Any) -> bool:
    return type(value) is int or (kind is float and type(value) is float)


def _check_range(name: str, value: Range) -> None:
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
