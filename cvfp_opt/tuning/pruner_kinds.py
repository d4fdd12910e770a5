"""The pruners that a definition may name."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import optuna
from optuna.pruners import (
    BasePruner,
    MedianPruner,
    NopPruner,
    PatientPruner,
    PercentilePruner,
    ThresholdPruner,
)
from optuna.trial import FrozenTrial

from cvfp_opt.errors import DefinitionError, nearest
from cvfp_opt.tuning.halving import HalvingPruner
from cvfp_opt.tuning.pruner import REDUCTION_FACTOR, Promise, PromisePruner


@dataclass(frozen=True, kw_only=True)
class PrunerRequest:
    """The arguments that a pruner is made from.

    Attributes:
        num_startup_trials: trials that must have come as far before one is pruned.
        num_warmup_steps: iterations before a trial may be pruned.
        num_iterations: of a trial.
        seed: of the study.
        promise: rates a trial after an iteration.
    """

    num_startup_trials: int
    num_warmup_steps: int
    num_iterations: int
    seed: int
    promise: Promise


@dataclass(frozen=True, kw_only=True)
class _Guarded(BasePruner):
    """A pruner that waits for as many iterations and trials as a definition says."""

    inner: BasePruner
    request: PrunerRequest

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        step = trial.last_step
        if step is None or step < self.request.num_warmup_steps:
            return False
        if not self.inner.prune(study, trial):
            return False
        others = study.get_trials(deepcopy=False)
        as_far = sum(t.number != trial.number and step in t.intermediate_values for t in others)
        return as_far >= self.request.num_startup_trials


def asha(request: PrunerRequest, *, reduction_factor: float = REDUCTION_FACTOR) -> BasePruner:
    """Prune at iterations 1, 2, 4 ... all but one in so many, those that promise most."""
    return PromisePruner(
        request.num_startup_trials,
        request.num_warmup_steps,
        request.promise,
        reduction_factor=reduction_factor,
    )


def median(
    request: PrunerRequest, *, interval_steps: int = 1, n_min_trials: int = 1
) -> BasePruner:
    """Prune below the median of the scores that complete trials had after the same iteration.

    Of use only once some trials converge: before, scores are ranks, and say nothing of the end.
    """
    return MedianPruner(
        n_startup_trials=request.num_startup_trials,
        n_warmup_steps=request.num_warmup_steps,
        interval_steps=interval_steps,
        n_min_trials=n_min_trials,
    )


def percentile(
    request: PrunerRequest,
    *,
    percentile: float,
    interval_steps: int = 1,
    n_min_trials: int = 1,
) -> BasePruner:
    """Prune all but the best so many percent, by the scores that complete trials had there."""
    return PercentilePruner(
        percentile,
        n_startup_trials=request.num_startup_trials,
        n_warmup_steps=request.num_warmup_steps,
        interval_steps=interval_steps,
        n_min_trials=n_min_trials,
    )


def successive_halving(
    request: PrunerRequest, *, reduction_factor: int = 4, min_early_stopping_rate: int = 0
) -> BasePruner:
    """Prune all but the best quarter at iterations 1, 4, 16 ..., by score; "asha" by promise."""
    return HalvingPruner(
        num_startup_trials=request.num_startup_trials,
        min_resource=request.num_warmup_steps,
        reduction_factor=reduction_factor,
        first_bracket=min_early_stopping_rate,
    )


def hyperband(request: PrunerRequest, *, reduction_factor: int = 3) -> BasePruner:
    """Prune by successive halving, some trials from the first rung on and others from later."""
    last = max(request.num_iterations - 1, request.num_warmup_steps)
    # a bracket begins at each rung; by whole numbers, for a logarithm may miss by its last bit
    brackets, rung = 1, request.num_warmup_steps * max(reduction_factor, 2)
    while rung <= last:
        brackets, rung = brackets + 1, rung * max(reduction_factor, 2)
    return HalvingPruner(
        num_startup_trials=request.num_startup_trials,
        min_resource=request.num_warmup_steps,
        reduction_factor=reduction_factor,
        num_brackets=brackets,
        seed=request.seed,
    )


# Pruners that need no settings of their own.
_WRAPPED = ("none", "asha", "median", "successive_halving", "hyperband")


def patient(
    request: PrunerRequest, *, patience: int, min_delta: float = 0.0, wrapped_pruner: str = "none"
) -> BasePruner:
    """Prune what has not improved for so many iterations, if another pruner agrees."""
    if wrapped_pruner not in _WRAPPED:
        raise DefinitionError(
            f"search.pruner_settings.wrapped_pruner: unknown pruner {wrapped_pruner!r}; "
            f"{nearest(wrapped_pruner, _WRAPPED)}"
        )
    asked = None if wrapped_pruner == "none" else PRUNERS[wrapped_pruner](request)
    inner = PatientPruner(asked, patience=patience, min_delta=min_delta)
    return _Guarded(inner=inner, request=request)


def threshold(
    request: PrunerRequest,
    *,
    lower: float = -math.inf,
    upper: float = math.inf,
    interval_steps: int = 1,
) -> BasePruner:
    """Prune what scores below a limit or above another."""
    if lower == -math.inf and upper == math.inf:
        raise ValueError("lower or upper is required")
    inner = ThresholdPruner(
        lower=lower,
        upper=upper,
        n_warmup_steps=request.num_warmup_steps,
        interval_steps=interval_steps,
    )
    return _Guarded(inner=inner, request=request)


def none(request: PrunerRequest) -> BasePruner:
    """Prune nothing."""
    return NopPruner()


PrunerKind = Callable[..., BasePruner]
"""(request, settings by name) -> pruner."""

PRUNERS: Mapping[str, PrunerKind] = {
    "asha": asha,
    "median": median,
    "percentile": percentile,
    "successive_halving": successive_halving,
    "hyperband": hyperband,
    "patient": patient,
    "threshold": threshold,
    "none": none,
}
# Pruners of Optuna's that are none of a definition, with the reason.
NOT_PRUNERS: Mapping[str, str] = {
    "wilcoxon": "its test compares scores of independent instances, and the iterations of one "
    'training run are none; "median" and "asha" compare trials after the same iteration',
}
