"""A sampler's view of a study: read once a proposal, no more than can be used in time."""

import copy
import itertools
import math
from collections.abc import Container, Sequence

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from cvfp_opt.store.database.constraints import is_feasible
from cvfp_opt.store.database.optuna_private import nondomination_rank

# TPE takes the best tenth of what it is shown for good, of one objective at most 25 trials: with
# this share, from 250 trials on, the very ones that it would take of all.
BEST_SHARE = 0.1


class LimitedHistory:
    """Shows one proposal the best trials, the latest ones, and those that have not ended.

    What is shown depends on the study's record alone. For TPE, which asks for the trials three
    times, and gives them the less weight the older they are, unless they are good.

    Args:
        max_trials: how many that have ended are shown; 0 for all, None for the study itself.
        alike: whether complete trials that have not as many constraints as the latest one are
            left out. For GPSampler, which takes no others: adopted trials have none.
    """

    def __init__(self, max_trials: int | None, *, alike: bool = False) -> None:
        self._max_trials = max_trials
        self._alike = alike
        self._trials: list[FrozenTrial] | None = None
        self._view: _View | None = None

    def trials(self, study: optuna.Study) -> list[FrozenTrial]:
        """Read all trials, by number; once a proposal."""
        if self._trials is None:
            self._trials = study.get_trials(deepcopy=False)
        return self._trials

    def view(self, study: optuna.Study) -> optuna.Study:
        """Give the study, or what may be seen of it; the same all through a proposal."""
        if self._max_trials is None:
            return study
        if self._view is None:
            trials = _alike(self.trials(study)) if self._alike else self.trials(study)
            ended = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
            if 0 < self._max_trials < len(ended):
                seen = _best_and_latest(ended, study.directions, self._max_trials)
                running = [trial for trial in trials if not trial.state.is_finished()]
                trials = sorted(seen + running, key=lambda trial: trial.number)
            self._view = _View(study, trials)
        return self._view

    def kinds(self, study: optuna.Study) -> optuna.Study:
        """Give the same with one of each kind of trials whose distributions are the same.

        Their intersection is that of all; a sampler that is made for one trial would compare each
        with each, 9 ms for 1000. Distributions that were read from one text are one object.
        """
        if self._max_trials is None:
            return study
        kinds = {}
        for trial in self.view(study).get_trials(deepcopy=False):
            places = tuple((name, id(one)) for name, one in trial.distributions.items())
            kinds[trial.state, places] = trial
        return _View(study, list(kinds.values()))


class _View(optuna.Study):
    """A study with only some of its trials."""

    def __init__(self, study: optuna.Study, trials: list[FrozenTrial]) -> None:
        self.__dict__.update(study.__dict__)  # Study's own asks the storage for all of it
        self._shown = trials

    def _get_trials(
        self,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
        use_cache: bool = False,
    ) -> list[FrozenTrial]:
        shown = [trial for trial in self._shown if states is None or trial.state in states]
        return copy.deepcopy(shown) if deepcopy else shown


def _alike(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """Leave out complete trials with more or fewer constraints than the latest one has."""
    counts = [len(one.constraints) for one in trials if one.state is TrialState.COMPLETE]
    return [
        one
        for one in trials
        if one.state is not TrialState.COMPLETE or len(one.constraints) == counts[-1]
    ]


def _best_and_latest(
    trials: list[FrozenTrial], directions: Sequence[StudyDirection], count: int
) -> list[FrozenTrial]:
    """Choose ``count`` of some ended trials: the best BEST_SHARE of them, then the latest."""
    signs = np.array([-1.0 if d is StudyDirection.MAXIMIZE else 1.0 for d in directions])
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    pruned = [trial for trial in trials if trial.state is TrialState.PRUNED]
    num_best = math.ceil(BEST_SHARE * count)
    losses = signs * np.array([trial.values for trial in complete]).reshape(-1, len(signs))
    ordered = (complete[i] for i in _order(losses, num_best))
    feasible = (trial for trial in ordered if is_feasible(trial.constraints))
    best = list(itertools.islice(feasible, num_best))
    if len(best) < num_best:  # as TPE ranks them: how far they came, then how well they did
        pruned.sort(key=lambda trial: _progress(trial, signs[0]))
        best += pruned[: num_best - len(best)]
    good = {trial.number for trial in best}
    others = [trial for trial in trials if trial.number not in good]
    return best + others[len(others) - (count - len(best)) :]


def _order(losses: np.ndarray, count: int) -> np.ndarray:
    """Order rows of (n, objectives), the ``count`` best ones first, in turn among equals."""
    ranks = losses[:, 0]
    if losses.shape[1] > 1 and len(losses):
        ranks = nondomination_rank(losses, n_below=min(count, len(losses)))
    return np.argsort(ranks, kind="stable")


def _progress(trial: FrozenTrial, sign: float) -> tuple[int, float]:
    """Rank a pruned trial, the best lowest: by its last step, then by the value there."""
    if trial.last_step is None:
        return 1, 0.0
    value = sign * trial.intermediate_values[trial.last_step]
    return -trial.last_step, math.inf if math.isnan(value) else value
