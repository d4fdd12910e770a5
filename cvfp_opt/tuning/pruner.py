"""Pruning trials that fall behind."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import optuna
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial

Promise = Callable[[FrozenTrial, int], float | None]
"""(trial, iteration) -> what it promises after it, larger for better; None if not there yet."""

# One in so many of the trials that reach a rung may go on. Gently: a network that keeps its rank
# settles slowly, and the best ones do not look so at first.
REDUCTION_FACTOR = 1.5
# A trial reads the study again after so many seconds; trials report no more often
# (tuning.trial_reports). Each reads for itself: it has to know what ended before it began, or a
# resumed study would prune other trials.
LOOK_SECONDS = 1.0


class _Rung:
    """The promises of trials at a rung; each finished one is asked once."""

    def __init__(self) -> None:
        self._finished: dict[int, float | None] = {}  # by number
        self._lock = threading.Lock()  # several trials may run in one process

    def promises(
        self, trials: Sequence[FrozenTrial], promise: Callable[[FrozenTrial], float | None]
    ) -> list[float]:
        """Collect the promises of those trials that reached the rung."""
        with self._lock:
            unknown = [trial for trial in trials if trial.number not in self._finished]
            found = {trial.number: promise(trial) for trial in unknown}
            known = [*self._finished.values(), *found.values()]
            ended = {trial.number for trial in unknown if trial.state.is_finished()}
            self._finished |= {number: found[number] for number in ended}
        return [value for value in known if value is not None]


@dataclass(frozen=True)
class PromisePruner(BasePruner):
    """Asynchronous successive halving (ASHA) over iterations, by what a trial promises.

    At the rungs (iterations n, 2n, 4n ... for n = num_warmup_steps) a trial ends if it is not
    among the best 1 / reduction_factor of all trials that came there, whatever became of them. Not
    Optuna's SuccessiveHalvingPruner, which compares reported scores: those are no guide before
    some tokens converge. Source of the method: Li et al., "A System for Massively Parallel
    Hyperparameter Tuning", MLSys 2020.
    """

    num_startup_trials: int
    num_warmup_steps: int
    promise: Promise
    reduction_factor: float = REDUCTION_FACTOR
    _looks: dict[tuple[str, int], tuple[float, list[FrozenTrial]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _rungs: dict[tuple[str, int], _Rung] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if not self.reduction_factor > 1.0:
            raise ValueError(
                f"reduction_factor: more than 1 is required, got {self.reduction_factor:g}"
            )

    def prune(self, study: "optuna.Study", trial: FrozenTrial) -> bool:
        step = trial.last_step
        if step is None or not is_rung(step, self.num_warmup_steps):
            return False
        rung = self._rungs.setdefault((study.study_name, step), _Rung())
        known = rung.promises(self._others(study, trial), lambda other: self.promise(other, step))
        ours = self.promise(trial, step)
        if ours is None or len(known) < self.num_startup_trials:
            return False
        return ours < float(np.quantile(known, 1.0 - 1.0 / self.reduction_factor))

    def _others(self, study: "optuna.Study", trial: FrozenTrial) -> list[FrozenTrial]:
        """Give the other trials, as this one has read them at most LOOK_SECONDS ago."""
        now, asking = time.monotonic(), (study.study_name, trial.number)
        seen, others = self._looks.get(asking, (-math.inf, []))
        if now - seen < LOOK_SECONDS:
            return others
        others = [t for t in study.get_trials(deepcopy=False) if t.number != trial.number]
        for key, (seen, _) in list(self._looks.items()):  # lanes share them
            if now - seen >= LOOK_SECONDS:
                self._looks.pop(key, None)
        self._looks[asking] = now, others
        return others


def is_rung(step: int, first: int) -> bool:
    """Check whether an iteration is n, 2n, 4n ... for the first one n."""
    quotient, rest = divmod(step, first)
    return rest == 0 and quotient > 0 and quotient & (quotient - 1) == 0
