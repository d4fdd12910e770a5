"""Successive halving and Hyperband by reported scores, from the study's record alone.

Optuna's own keep with a trial which rungs it passed, so that a trial that was killed at one and
goes on would be judged otherwise; and Hyperband draws brackets from the study's name, which
changes with a copy. Here a trial's bracket follows from the seed and its number, and its rungs
from what trials have reported.
"""

import math
from dataclasses import dataclass, field

import optuna
from optuna.pruners import BasePruner
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from cvfp_opt.training.seeds import Purpose, derive_seed


@dataclass(frozen=True, kw_only=True)
class HalvingPruner(BasePruner):
    """Asynchronous successive halving of trials in brackets that begin at later rungs.

    In bracket b the rungs are iterations r eta^(b + k), k = 0, 1, 2 ...; at each a trial ends
    unless it is among the best 1 / eta of those of its bracket that reported there. With one
    bracket this is Optuna's SuccessiveHalvingPruner, with several its HyperbandPruner. Sources of
    the methods: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020;
    Li et al., "Hyperband", JMLR 18, 2018.

    Attributes:
        num_startup_trials: trials that must have reported at a rung before one ends there.
        min_resource: iterations r before the first rung.
        reduction_factor: eta, at least 2.
        first_bracket: b of the first bracket.
        num_brackets: how many there are.
        seed: of the study; decides who is in which bracket.
    """

    num_startup_trials: int
    min_resource: int
    reduction_factor: int
    first_bracket: int = 0
    num_brackets: int = 1
    seed: int = 0
    _shares: tuple[int, ...] = field(default=(), init=False, repr=False)

    def __post_init__(self) -> None:
        if self.reduction_factor < 2:
            raise ValueError(
                f"reduction_factor: at least 2 is required, got {self.reduction_factor}"
            )
        if self.first_bracket < 0:
            raise ValueError(
                f"min_early_stopping_rate: at least 0 is required, got {self.first_bracket}"
            )
        # so many trials of a bracket cost as much as those of another
        most = self.num_brackets
        shares = (
            math.ceil(most * self.reduction_factor ** (s - 1) / s) for s in range(most, 0, -1)
        )
        object.__setattr__(self, "_shares", tuple(shares))

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        step = trial.last_step
        bracket = self.bracket(trial.number)
        if step is None or not self._is_rung(step, bracket):
            return False
        value = trial.intermediate_values[step]
        if math.isnan(value):
            return True
        sign = 1.0 if study.direction is StudyDirection.MAXIMIZE else -1.0
        others = [
            sign * one.intermediate_values[step]
            for one in study.get_trials(deepcopy=False)
            if one.number != trial.number
            and step in one.intermediate_values
            and self.bracket(one.number) == bracket
        ]
        if len(others) < self.num_startup_trials:
            return False
        going_on = max(1, (len(others) + 1) // self.reduction_factor)
        ahead = sum(other > sign * value for other in others)
        return bool(ahead >= going_on)

    def bracket(self, number: int) -> int:
        """Give the bracket of the trial with that number."""
        if self.num_brackets == 1:
            return self.first_bracket
        # the upper half of the bits: proposals use the lower one
        place = (derive_seed(self.seed, number, Purpose.PROPOSAL) >> 32) % sum(self._shares)
        for bracket, share in enumerate(self._shares):
            place -= share
            if place < 0:
                return self.first_bracket + bracket
        raise AssertionError("the shares sum up to more than the place")

    def _is_rung(self, step: int, bracket: int) -> bool:
        rung: int = self.min_resource * self.reduction_factor**bracket
        while rung < step:
            rung *= self.reduction_factor
        return rung == step
