"""Proposing points, so that a stopped and resumed study proposes the same ones."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from cvfp_opt.training.seeds import Purpose, derive_seed
from cvfp_opt.tuning.limited_history import LimitedHistory


def tpe(seed: int, num_startup_trials: int) -> BaseSampler:
    """Make Optuna's tree-structured Parzen estimator; multivariate, as Optuna's default."""
    return TPESampler(seed=seed, n_startup_trials=num_startup_trials)


def nsga2(seed: int, num_startup_trials: int) -> BaseSampler:
    """Make an NSGA-II, for two objectives; a generation is as many trials as start at random."""
    return NSGAIISampler(seed=seed, population_size=max(2, num_startup_trials))


def random(seed: int, num_startup_trials: int) -> BaseSampler:
    """Make a sampler of independent uniform points."""
    return RandomSampler(seed=seed)


@dataclass(frozen=True)
class SamplerKind:
    """A kind of sampler.

    Attributes:
        make: (seed, number of start-up trials) -> a fresh sampler.
        limited: whether the trials that it looks at can be limited, see LimitedHistory.
    """

    make: Callable[[int, int], BaseSampler]
    limited: bool = False


SAMPLERS: Mapping[str, SamplerKind] = {
    "tpe": SamplerKind(tpe, limited=True),
    "nsga2": SamplerKind(nsga2),
    "random": SamplerKind(random),
}


class PerTrialSampler(BaseSampler):
    """A fresh inner sampler for each trial, seeded from (study seed, trial number).

    Optuna does not store a sampler's state: with one seed for the study, a resumed search
    repeats its start-up points and two workers propose the same. This way the proposal for
    trial n depends on the study's record alone.

    Args:
        kind: one of SAMPLERS.
        study_seed: of the study.
        num_startup_trials: of the inner sampler.
        max_trials: finished trials that a limited kind looks at; 0 for all.
    """

    def __init__(
        self, kind: SamplerKind, study_seed: int, num_startup_trials: int, max_trials: int
    ) -> None:
        self._kind = kind
        self._study_seed = study_seed
        self._num_startup_trials = num_startup_trials
        self._max_trials = max_trials if kind.limited else None
        # by trial: several may run in one process
        self._proposals: dict[int, tuple[BaseSampler, LimitedHistory]] = {}

    def _proposal(self, trial: FrozenTrial) -> tuple[BaseSampler, LimitedHistory]:
        if trial.number not in self._proposals:
            seed = derive_seed(self._study_seed, trial.number, Purpose.PROPOSAL) % 2**32
            sampler = self._kind.make(seed, self._num_startup_trials)
            self._proposals[trial.number] = sampler, LimitedHistory(self._max_trials)
        return self._proposals[trial.number]

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        sampler, history = self._proposal(trial)
        return sampler.infer_relative_search_space(history.kinds(study), trial)

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        sampler, history = self._proposal(trial)
        return sampler.sample_relative(history.view(study), trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        sampler, history = self._proposal(trial)
        seen = history.view(study)
        return sampler.sample_independent(seen, trial, param_name, param_distribution)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._proposals.pop(trial.number, None)  # the same number may run again in this process
        sampler, _ = self._proposal(trial)
        sampler.before_trial(study, trial)

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        sampler, _ = self._proposal(trial)
        sampler.after_trial(study, trial, state, values)
        self._proposals.pop(trial.number, None)
