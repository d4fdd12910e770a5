"""A sampler that looks at a study once, and at no more of it than it can in time."""

import copy
import math
from collections.abc import Container, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from cvfp_opt.store.database.optuna_private import nondomination_rank

# TPE takes the best tenth of what it is shown for good, and no more than 25 if there is one
# objective: from 250 on the very trials that it would take of all.
BEST_SHARE = 0.1


class LimitedSampler(BaseSampler):
    """Shows another sampler the best trials, the latest ones, and those that have not ended.

    What is shown depends on the study's record alone. For TPE, which asks for the trials three
    times, and gives them the less weight the older they are, unless they are good.

    Args:
        inner: a sampler for one trial.
        max_trials: how many that have ended are shown; 0 for all.
    """

    def __init__(self, inner: BaseSampler, max_trials: int) -> None:
        self._inner = inner
        self._max_trials = max_trials
        self._shown: optuna.Study | None = None

    def _show(self, study: optuna.Study) -> optuna.Study:
        """The study, or what may be seen of it; the same all through a proposal."""
        if self._shown is None:
            trials = study.get_trials(deepcopy=False)
            ended = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
            if 0 < self._max_trials < len(ended):
                seen = _best_and_latest(ended, study.directions, self._max_trials)
                running = [trial for trial in trials if not trial.state.is_finished()]
                trials = sorted(seen + running, key=lambda trial: trial.number)
            self._shown = _Part(study, trials)
        return self._shown

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        shown = self._show(study).get_trials(deepcopy=False)
        return self._inner.infer_relative_search_space(_Part(study, _unlike(shown)), trial)

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        return self._inner.sample_relative(self._show(study), trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._inner.sample_independent(
            self._show(study), trial, param_name, param_distribution
        )

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._inner.before_trial(study, trial)

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        self._inner.after_trial(study, trial, state, values)


class _Part(optuna.Study):
    """A study as one sees it who is shown some of its trials."""

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


def _unlike(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """One of each kind of trials whose parameters have the same distributions.

    Their intersection is that of all; a sampler that is made for one trial would compare each with
    each, 9 ms for 1000. Distributions that were read from one text are one object.
    """
    kinds = {}
    for trial in trials:
        places = tuple((name, id(one)) for name, one in trial.distributions.items())
        kinds[trial.state, places] = trial
    return list(kinds.values())


def _best_and_latest(
    trials: list[FrozenTrial], directions: Sequence[StudyDirection], count: int
) -> list[FrozenTrial]:
    """Of trials that have ended, by number: the best BEST_SHARE of ``count``, then the latest."""
    signs = np.array([-1.0 if d is StudyDirection.MAXIMIZE else 1.0 for d in directions])
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    pruned = [trial for trial in trials if trial.state is TrialState.PRUNED]
    num_best = math.ceil(BEST_SHARE * count)
    losses = signs * np.array([trial.values for trial in complete]).reshape(-1, len(signs))
    best = [complete[i] for i in _order(losses, num_best)]
    if len(best) < num_best:  # as TPE ranks them: how far they came, then how well they did
        pruned.sort(key=lambda trial: _progress(trial, signs[0]))
        best += pruned[: num_best - len(best)]
    good = {trial.number for trial in best}
    others = [trial for trial in trials if trial.number not in good]
    return best + others[len(others) - (count - len(best)) :]


def _order(losses: np.ndarray, count: int) -> np.ndarray:
    """Places of the ``count`` best rows of (n, objectives), best first, in turn among equals."""
    ranks = losses[:, 0]
    if losses.shape[1] > 1 and len(losses):
        ranks = nondomination_rank(losses, n_below=min(count, len(losses)))
    return np.argsort(ranks, kind="stable")[:count]


def _progress(trial: FrozenTrial, sign: float) -> tuple[int, float]:
    if trial.last_step is None:
        return 1, 0.0
    value = sign * trial.intermediate_values[trial.last_step]
    return -trial.last_step, math.inf if math.isnan(value) else value
