"""Samplers that go through a fixed order of points: quasi-random, and every point there is."""

import itertools
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import FrozenTrial

from cvfp_opt.store.record.records import enqueued_point
from cvfp_opt.tuning.unit_interval import value_at

QMC_TYPES = ("sobol", "halton")


class _FixedOrder(BaseSampler):
    """A sampler that gives all parameters at once; what it was not told of is drawn at random."""

    def __init__(self, seed: int, space: Mapping[str, BaseDistribution]) -> None:
        self.space = dict(space)
        self._random = RandomSampler(seed=seed)

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self.space

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._random.sample_independent(study, trial, param_name, param_distribution)


class QmcSampler(_FixedOrder):
    """A sequence of low discrepancy: trial n takes its point n, whoever runs the trial.

    Optuna's own counts in an attribute of the study, which two workers read at once, and begins
    at the lowest corner unless it is scrambled.

    Args:
        study_seed: scrambles the sequence; one for all trials.
        space: distributions of what is searched, by name.
        qmc_type: one of QMC_TYPES.
        scramble: whether the sequence depends on the seed.
    """

    def __init__(
        self,
        study_seed: int,
        space: Mapping[str, BaseDistribution],
        *,
        qmc_type: str = "sobol",
        scramble: bool = True,
    ) -> None:
        if qmc_type not in QMC_TYPES:
            raise ValueError(
                f"qmc_type: one of {', '.join(QMC_TYPES)} is required, got {qmc_type}"
            )
        super().__init__(study_seed % 2**32, space)
        self._engine = {"seed": study_seed, "scramble": scramble}
        self._type = qmc_type

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        from scipy.stats import qmc

        if not self.space:
            return {}
        kind = qmc.Sobol if self._type == "sobol" else qmc.Halton
        engine = kind(len(self.space), **self._engine)
        if trial.number:
            engine.fast_forward(trial.number)
        [shares] = engine.random(1)
        return {
            name: value_at(one, float(share))
            for (name, one), share in zip(self.space.items(), shares, strict=True)
        }


class BruteForceSampler(_FixedOrder):
    """Every point of a space of whole numbers and words, once; then each once more, and so on.

    A trial takes, in an order that the seed gives, the first point that fewest trials before it
    took, and leaves as many as there are trials before it that have not taken theirs yet. So no
    two workers take one.

    Args:
        study_seed: decides the order; one for all trials.
        space: distributions of what is searched, by name; finite.
    """

    def __init__(self, study_seed: int, space: Mapping[str, BaseDistribution]) -> None:
        super().__init__(study_seed % 2**32, space)
        points = list(itertools.product(*map(_candidates, self.space.values())))
        order = np.random.default_rng(study_seed).permutation(len(points))
        self._points = [points[i] for i in order]

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        taken: Counter[tuple[Any, ...]] = Counter()
        undecided = 0
        for one in study.get_trials(deepcopy=False)[: trial.number]:
            params = enqueued_point(one)
            if self.space.keys() <= params.keys():
                taken[tuple(params[name] for name in self.space)] += 1
            elif not one.state.is_finished():
                undecided += 1
        free = sorted(self._points, key=lambda point: taken[point])  # stable: else in order
        return dict(zip(self.space, free[undecided % len(free)], strict=True))


def _candidates(one: BaseDistribution) -> tuple[Any, ...]:
    if isinstance(one, CategoricalDistribution):
        return one.choices
    assert isinstance(one, IntDistribution), "a definition with others was refused"
    return tuple(range(one.low, one.high + 1))
