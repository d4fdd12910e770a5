"""Schedules of the diversity weight w over the iterations of one training run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from cvfp_opt.errors import DefinitionError, nearest
from cvfp_opt.model.custom_functions import is_foreign, load_function


class WeightSchedule(Protocol):
    """The interface of a weight schedule: a pure function that gives an iteration's weight.

    Args:
        config: the schedule's settings.
        dist_reg_weight: the trial's weight, in [0, 1].
        iteration: number of the iteration, from 0.
        num_iterations: passes in the whole run.
        convergence_rate: measured last, in [0, 1]; None before the first measurement.
        effective_rank: measured last, ER / D in (0, 1]; None before the first measurement.

    Returns:
        w in [0, 1]; the total loss is ``(1 - w) * cvfp + w * diversity``.
    """

    def __call__(
        self,
        config: "ScheduleConfig",
        *,
        dist_reg_weight: float,
        iteration: int,
        num_iterations: int,
        convergence_rate: float | None,
        effective_rank: float | None,
    ) -> float: ...


def constant(
    config: "ScheduleConfig",
    *,
    dist_reg_weight: float,
    iteration: int,
    num_iterations: int,
    convergence_rate: float | None,
    effective_rank: float | None,
) -> float:
    """Return the trial's own weight, in each iteration."""
    return dist_reg_weight


def staged(
    config: "ScheduleConfig",
    *,
    dist_reg_weight: float,
    iteration: int,
    num_iterations: int,
    convergence_rate: float | None,
    effective_rank: float | None,
) -> float:
    """Return ``stage_weights`` in turn, each for an equal part of the iterations.

    The original report's Option 1. With 10 iterations and three stages: iterations 1-3, 4-6 and
    7-10, as there; what does not divide evenly goes to the last stage. The trial's own weight
    plays no part.
    """
    length = num_iterations // len(config.stage_weights)
    stage = min(iteration // max(1, length), len(config.stage_weights) - 1)
    return config.stage_weights[stage]


def adaptive(
    config: "ScheduleConfig",
    *,
    dist_reg_weight: float,
    iteration: int,
    num_iterations: int,
    convergence_rate: float | None,
    effective_rank: float | None,
) -> float:
    """Choose the weight by what the last measurement lacks (the original report's Option 2).

    ``ER / D < rank_limit`` gives ``low_rank_weight``; else ``convergence < convergence_limit``
    gives ``low_convergence_weight``; else ``balanced_weight``. Before the first measurement, the
    trial's weight.
    """
    if convergence_rate is None or effective_rank is None:
        return dist_reg_weight
    if effective_rank < config.rank_limit:
        return config.low_rank_weight
    if convergence_rate < config.convergence_limit:
        return config.low_convergence_weight
    return config.balanced_weight


WEIGHT_SCHEDULES: Mapping[str, WeightSchedule] = {
    "constant": constant,
    "staged": staged,
    "adaptive": adaptive,
}


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """Which weight schedule, and its settings; the defaults are the original report's.

    Attributes:
        kind: How the diversity weight w changes from iteration to iteration. Range: one of
            WEIGHT_SCHEDULES, or package.module:function.
        stage_weights: Weights of "staged", one a stage: at least one stage, and no more than
            iterations that train. Range: each in [0, 1].
        rank_limit: Effective rank ER / D below which "adaptive" takes `low_rank_weight`. Range:
            in [0, 1].
        convergence_limit: Convergence rate below which "adaptive" takes `low_convergence_weight`,
            where the rank is high enough. Range: in [0, 1].
        low_rank_weight: Weight that "adaptive" takes where the rank is low. Range: in [0, 1].
        low_convergence_weight: Weight that "adaptive" takes where the rank is high enough, and
            the convergence rate low. Range: in [0, 1].
        balanced_weight: Weight that "adaptive" takes where neither is low. Range: in [0, 1].
    """

    kind: str = "constant"
    stage_weights: tuple[float, ...] = (0.8, 0.5, 0.2)
    rank_limit: float = 0.8
    convergence_limit: float = 0.5
    low_rank_weight: float = 0.7
    low_convergence_weight: float = 0.2
    balanced_weight: float = 0.5

    def __post_init__(self) -> None:
        if self.kind not in WEIGHT_SCHEDULES and not is_foreign(self.kind):
            raise DefinitionError(
                f"schedule.kind: unknown schedule {self.kind!r}; "
                f"{nearest(self.kind, WEIGHT_SCHEDULES)}, or package.module:function"
            )
        if not self.stage_weights:
            raise DefinitionError("schedule.stage_weights: at least one weight is required")
        shares = {f"stage_weights[{i}]": w for i, w in enumerate(self.stage_weights)}
        for key in _SHARES:
            shares[key] = getattr(self, key)
        for key, value in shares.items():
            if not 0.0 <= value <= 1.0:
                raise DefinitionError(
                    f"schedule.{key}: a number in [0, 1] is required, got {value:g}"
                )


_SHARES = (
    "rank_limit",
    "convergence_limit",
    "low_rank_weight",
    "low_convergence_weight",
    "balanced_weight",
)


def weight_schedule(name: str) -> WeightSchedule:
    """Look up the schedule of that name; import and try one of the user's own.

    Raises:
        DefinitionError: it cannot be imported, or does not fit.
    """
    if not is_foreign(name):
        return WEIGHT_SCHEDULES[name]
    signature = (
        "a function of (config, *, dist_reg_weight, iteration, num_iterations, convergence_rate, "
        "effective_rank) that returns a weight in [0, 1]"
    )
    return load_function("schedule.kind", name, signature, _try_schedule)


def _try_schedule(schedule: WeightSchedule) -> str | None:
    """Call a schedule; return what is wrong with its value, or None."""
    for rate, rank in ((None, None), (0.5, 0.5)):
        weight = schedule(
            ScheduleConfig(),
            dist_reg_weight=0.5,
            iteration=0,
            num_iterations=10,
            convergence_rate=rate,
            effective_rank=rank,
        )
        if isinstance(weight, bool) or not isinstance(weight, int | float):
            return f"a {type(weight).__name__}"
        if not 0.0 <= weight <= 1.0:
            return f"{weight}"
    return None
