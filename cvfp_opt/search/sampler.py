"""Proposing points, so that a stopped and resumed study proposes the same ones."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from cvfp_opt.search.limited_history import LimitedSampler
from cvfp_opt.training.seeds import Purpose, derive_seed

SamplerFactory = Callable[[int, int, int], BaseSampler]
"""(seed, number of start-up trials, trials to look at; 0 for all) -> a fresh sampler."""


def tpe(seed: int, num_startup_trials: int, max_trials: int) -> BaseSampler:
    """Optuna's tree-structured Parzen estimator; multivariate, as Optuna's default."""
    sampler = TPESampler(seed=seed, n_startup_trials=num_startup_trials)
    return LimitedSampler(sampler, max_trials)


def random(seed: int, num_startup_trials: int, max_trials: int) -> BaseSampler:
    """Independent uniform points."""
    return RandomSampler(seed=seed)


def nsga2(seed: int, num_startup_trials: int, max_trials: int) -> BaseSampler:
    """NSGA-II, for two objectives; a generation is as many trials as start at random."""
    return NSGAIISampler(seed=seed, population_size=max(2, num_startup_trials))


SAMPLERS: Mapping[str, SamplerFactory] = {"tpe": tpe, "nsga2": nsga2, "random": random}


class PerTrialSampler(BaseSampler):
    """A fresh inner sampler for each trial, seeded from (study seed, trial number).

    Optuna does not store a sampler's state: with one seed for the study, a resumed search
    repeats its start-up points and two workers propose the same. This way the proposal for
    trial n depends on the study's record alone.
    """

    def __init__(
        self, factory: SamplerFactory, study_seed: int, num_startup_trials: int, max_trials: int
    ) -> None:
        self._factory = factory
        self._study_seed = study_seed
        self._num_startup_trials = num_startup_trials
        self._max_trials = max_trials
        self._running: dict[int, BaseSampler] = {}  # by trial: several may run in one process

    def _inner(self, trial: FrozenTrial) -> BaseSampler:
        if trial.number not in self._running:
            seed = derive_seed(self._study_seed, trial.number, Purpose.PROPOSAL) % 2**32
            self._running[trial.number] = self._factory(
                seed, self._num_startup_trials, self._max_trials
            )
        return self._running[trial.number]

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._inner(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        return self._inner(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._inner(trial).sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._running.pop(trial.number, None)  # the same number may run again in this process
        self._inner(trial).before_trial(study, trial)

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        self._inner(trial).after_trial(study, trial, state, values)
        self._running.pop(trial.number, None)
