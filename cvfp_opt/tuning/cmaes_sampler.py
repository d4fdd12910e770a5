"""CMA-ES from the study's record: what it has learnt is found again for each proposal.

Optuna's own keeps the optimizer's state in trials, pickled, and unpickles what it finds there:
whoever shares a database could have any code run. Here the generations are read from the trials
and told to a fresh optimizer, in less than a millisecond each, so that nothing is stored but a
trial's generation.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from cvfp_opt.store.database.optuna_private import contains, storage_of, trial_id_of
from cvfp_opt.tuning.unit_interval import Numbers, share_of, value_at

if TYPE_CHECKING:
    from cmaes import CMA

# System attribute of a trial; Optuna's sampler has the same.
GENERATION = "cma:generation"
# Optuna's width of the first generation, as a share of each range.
_FIRST_SIGMA = 1 / 6


class CmaEsSampler(BaseSampler):
    """Covariance matrix adaptation of one objective over numbers; words are drawn at random.

    Source of the method: Hansen, "The CMA Evolution Strategy: A Tutorial", 2016, by the package
    ``cmaes``. A generation is told once enough of its trials are complete, by their numbers.

    Args:
        seed: of this proposal.
        num_startup_trials: complete trials at random points before it begins.
        space: distributions of what is searched, by name.
        popsize: trials in a generation; None for 4 + 3 ln(dimensions).
        sigma0: width of the first generation, as a share of each range; None for a sixth.
        lr_adapt: whether steps are made smaller where scores are noisy, at the price of speed.
    """

    def __init__(
        self,
        seed: int,
        num_startup_trials: int,
        space: Mapping[str, BaseDistribution],
        *,
        popsize: int | None = None,
        sigma0: float | None = None,
        lr_adapt: bool = False,
    ) -> None:
        if popsize is not None and popsize < 2:
            raise ValueError(f"popsize: at least 2 is required, got {popsize}")
        if sigma0 is not None and not 0.0 < sigma0 <= 1.0:
            raise ValueError(f"sigma0: a share in (0, 1] is required, got {sigma0}")
        self._seed = seed
        self._num_startup_trials = num_startup_trials
        self._numbers = {n: d for n, d in space.items() if isinstance(d, Numbers)}
        self._popsize = popsize
        self._sigma0 = _FIRST_SIGMA if sigma0 is None else sigma0
        self._lr_adapt = lr_adapt
        self._random = RandomSampler(seed=seed)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return dict(self._numbers)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        complete = [
            one
            for one in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
            if all(
                n in one.params and contains(d, one.params[n]) for n, d in self._numbers.items()
            )
        ]
        if len(complete) < self._num_startup_trials:
            return {}
        optimizer = self.optimizer(complete, study.direction)
        optimizer.reseed_rng(self._seed)
        storage_of(study).set_trial_system_attr(
            trial_id_of(trial), GENERATION, optimizer.generation
        )
        point = optimizer.ask()
        return {
            name: value_at(one, float(share))
            for (name, one), share in zip(self._numbers.items(), point, strict=True)
        }

    def optimizer(self, complete: Sequence[FrozenTrial], direction: StudyDirection) -> "CMA":
        """Tell a fresh optimizer all generations that are complete, in turn."""
        from cmaes import CMA

        size = len(self._numbers)
        optimizer = CMA(
            mean=np.full(size, 0.5),
            sigma=self._sigma0,
            bounds=np.array([[0.0, 1.0]] * size),
            n_max_resampling=10 * size,
            seed=self._seed,
            population_size=self._popsize,
            lr_adapt=self._lr_adapt,
        )
        sign = -1.0 if direction is StudyDirection.MAXIMIZE else 1.0
        while True:
            told = [
                (self._shares(trial), sign * trial.value)
                for trial in complete
                if trial.system_attrs.get(GENERATION) == optimizer.generation
                and trial.value is not None
            ][: optimizer.population_size]
            if len(told) < optimizer.population_size:
                return optimizer
            optimizer.tell(told)

    def _shares(self, trial: FrozenTrial) -> np.ndarray:
        """Give a trial's numbers, each from 0 to 1 in its range."""
        return np.array([share_of(one, trial.params[name]) for name, one in self._numbers.items()])

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._random.sample_independent(study, trial, param_name, param_distribution)
