"""Schedules of the diversity weight w over the iterations of one training run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from cvfp_opt.errors import DefinitionError, nearest


class WeightSchedule(Protocol):
    """A pure function: which diversity weight trains after iteration ``iteration``.

    Args:
        dist_reg_weight: the trial's weight, in [0, 1].
        iteration: number of the pass just read, from 0.
        num_iterations: passes in the whole run.
        convergence_rate: of the pass just read, in [0, 1].
        effective_rank: of the pass just read, ER / D in (0, 1].

    Returns:
        w in [0, 1]; the total loss is ``(1 - w) * cvfp + w * diversity``.
    """

    def __call__(
        self,
        *,
        dist_reg_weight: float,
        iteration: int,
        num_iterations: int,
        convergence_rate: float,
        effective_rank: float,
    ) -> float: ...


def constant(
    *,
    dist_reg_weight: float,
    iteration: int,
    num_iterations: int,
    convergence_rate: float,
    effective_rank: float,
) -> float:
    """The trial's own weight throughout."""
    return dist_reg_weight


WEIGHT_SCHEDULES: Mapping[str, WeightSchedule] = {"constant": constant}


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """Which weight schedule.

    Attributes:
        kind: a key of WEIGHT_SCHEDULES.
    """

    kind: str = "constant"

    def __post_init__(self) -> None:
        if self.kind not in WEIGHT_SCHEDULES:
            raise DefinitionError(
                f"schedule.kind: unknown schedule {self.kind!r}; "
                f"{nearest(self.kind, WEIGHT_SCHEDULES)}"
            )
