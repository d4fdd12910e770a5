"""The sampler and the pruner that a definition names, ready for a study."""

import importlib.util
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial

from cvfp_opt.errors import DefinitionError
from cvfp_opt.store.database.lazy_attributes import user_attribute
from cvfp_opt.store.record.attribute_shapes import is_ours
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.keyword_settings import construct
from cvfp_opt.tuning.own_search import own_pruner, own_sampler
from cvfp_opt.tuning.pruner import is_rung
from cvfp_opt.tuning.pruner_kinds import PRUNERS, PrunerRequest
from cvfp_opt.tuning.sampler import PerTrialSampler
from cvfp_opt.tuning.sampler_kinds import SAMPLERS, SamplerKind, SamplerRequest

if TYPE_CHECKING:
    from cvfp_opt.training.result import IterationMetrics


def sampler_of(definition: StudyDefinition) -> PerTrialSampler:
    """Make the sampler that a definition names; what it proposes follows from the study alone.

    Raises:
        DefinitionError: it needs a package that is not installed, or code that does not fit.
    """
    search = definition.search
    kind = SAMPLERS.get(search.sampler)
    if kind is None:
        make: Callable[[int], BaseSampler] = partial(
            construct,
            own_sampler(definition),
            num_startup_trials=search.num_startup_trials,
            **search.sampler_settings,
        )
    else:
        _check_installed(search.sampler, kind.package)
        make = partial(_fresh, kind, definition)
    return PerTrialSampler(
        make,
        search.seed,
        max_trials=search.max_sampler_trials if kind and kind.limited else None,
        alike=kind is not None and kind.alike,
        first_points=definition.first_points,
    )


def _fresh(kind: SamplerKind, definition: StudyDefinition, seed: int) -> BaseSampler:
    search = definition.search
    request = SamplerRequest(
        seed=seed,
        study_seed=search.seed,
        num_startup_trials=search.num_startup_trials,
        space=definition.space.distributions(),
    )
    return construct(kind.make, request, **search.sampler_settings)


def _check_installed(name: str, package: str) -> None:
    if package and importlib.util.find_spec(package) is None:
        raise DefinitionError(
            f'search.sampler: "{name}" needs the package {package}, which is not installed; type '
            "`pip install 'cvfp-opt[samplers]'`"
        )


def pruner_of(definition: StudyDefinition) -> BasePruner:
    """Make the pruner that a definition names, by what trials promise or by their scores.

    Raises:
        DefinitionError: it is code that does not fit.
    """
    search = definition.search
    if search.pruner not in PRUNERS:
        return construct(
            own_pruner(definition),
            num_startup_trials=search.num_pruner_startup_trials,
            num_warmup_steps=search.num_pruner_warmup_steps,
            **search.pruner_settings,
        )
    request = PrunerRequest(
        num_startup_trials=search.num_pruner_startup_trials,
        num_warmup_steps=search.num_pruner_warmup_steps,
        num_iterations=definition.training.num_iterations,
        seed=search.seed,
        promise=partial(promise, definition),
    )
    return construct(PRUNERS[search.pruner], request, **search.pruner_settings)


def promise(definition: StudyDefinition, trial: FrozenTrial, iteration: int) -> float | None:
    """Rate what a trial promised after an iteration; None if it did not come so far."""
    iterations = user_attribute(trial, "iterations") or []
    if not is_ours("iterations", iterations) or iteration >= len(iterations):
        return None
    residual = iterations[iteration].get("residual")
    rank = iterations[iteration].get("effective_rank")
    if residual is None or rank is None:
        return None
    try:
        threshold = definition.threshold(trial.params)
    except DefinitionError:  # of a trial by another definition: see tuning.drift
        return None
    key = "training.learning_rate_schedule"  # which may be searched
    comes_to_rest = trial.params.get(key, definition.training.learning_rate_schedule) == "cosine"
    return definition.objective.promise(
        residual,
        rank,
        threshold,
        comes_to_rest=comes_to_rest,
        exponent=iterations[iteration].get("lyapunov_exponent"),
    )


def exponents_after(definition: StudyDefinition) -> frozenset[int]:
    """List the iterations after which a trial's promise counts the Lyapunov exponent.

    Args:
        definition: of the trial, with its parameters in their places.
    """
    search, training = definition.search, definition.training
    if (
        search.pruner != "asha"
        or definition.objective.feasible != "audit"
        or not definition.objective.known_while_training
        or training.learning_rate_schedule != "cosine"
    ):
        return frozenset()
    iterations = range(1, training.num_iterations - 1)  # after the last none is pruned
    return frozenset(k for k in iterations if is_rung(k, search.num_pruner_warmup_steps))


def falls_behind(
    definition: StudyDefinition, metrics: "IterationMetrics", ask: Callable[[], bool]
) -> bool:
    """Decide whether a trial is to be pruned after an iteration.

    After the first pass nothing is trained yet, and the score is a rank: only one that is hopeless
    ends there.

    Args:
        ask: asks the study's pruner; called only after an iteration that followed training.
    """
    if not definition.objective.known_while_training:
        return False
    if metrics.iteration == 0:
        search = definition.search
        return search.pruner != "none" and metrics.effective_rank < search.min_untrained_rank
    return ask()
