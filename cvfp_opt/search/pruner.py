"""Giving up trials that fall behind."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import optuna
from optuna.pruners import BasePruner, MedianPruner, NopPruner
from optuna.trial import FrozenTrial

Promise = Callable[[FrozenTrial, int], float | None]
"""What a trial promises after an iteration, larger for better; None if it is not there yet."""

PrunerFactory = Callable[[int, int, Promise], BasePruner]
"""(trials before anything is pruned, iterations before a trial may be, promise) -> pruner."""


def median(num_startup_trials: int, num_warmup_steps: int, promise: Promise) -> BasePruner:
    """Below the median of the scores that the complete trials had after the same iteration.

    Of use only once some trials converge: before, scores are ranks, and say nothing of the end.
    """
    return MedianPruner(n_startup_trials=num_startup_trials, n_warmup_steps=num_warmup_steps)


def none(num_startup_trials: int, num_warmup_steps: int, promise: Promise) -> BasePruner:
    """Never."""
    return NopPruner()


# Of the trials that reach a rung, one in REDUCTION_FACTOR may go on. Gentle: a network that keeps
# its rank settles slowly, and the best ones are not the first to look it.
REDUCTION_FACTOR = 1.5


@dataclass(frozen=True)
class PromisePruner(BasePruner):
    """Asynchronous successive halving (ASHA) over iterations, by what a trial promises.

    At the rungs (iterations n, 2n, 4n ... for n = num_warmup_steps) a trial ends if it is not
    among the best 1 / REDUCTION_FACTOR of all trials that came there, whatever became of them. Not
    Optuna's SuccessiveHalvingPruner, which compares reported scores: those are no guide before
    some tokens converge. Source of the method: Li et al., "A System for Massively Parallel
    Hyperparameter Tuning", MLSys 2020.
    """

    num_startup_trials: int
    num_warmup_steps: int
    promise: Promise

    def prune(self, study: "optuna.Study", trial: FrozenTrial) -> bool:
        step = trial.last_step
        if step is None or not self._is_rung(step):
            return False
        others = (t for t in study.get_trials(deepcopy=False) if t.number != trial.number)
        theirs = [self.promise(other, step) for other in others]
        known = [promise for promise in theirs if promise is not None]
        ours = self.promise(trial, step)
        if ours is None or len(known) < self.num_startup_trials:
            return False
        return ours < float(np.quantile(known, 1.0 - 1.0 / REDUCTION_FACTOR))

    def _is_rung(self, step: int) -> bool:
        quotient, rest = divmod(step, self.num_warmup_steps)
        return rest == 0 and quotient > 0 and quotient & (quotient - 1) == 0


PRUNERS: Mapping[str, PrunerFactory] = {
    "asha": PromisePruner,
    "median": median,
    "none": none,
}
