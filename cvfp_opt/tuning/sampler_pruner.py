"""The sampler and the pruner that a definition names, ready for a study."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial

from cvfp_opt.errors import DefinitionError
from cvfp_opt.store.database.lazy_attributes import user_attribute
from cvfp_opt.store.record.attribute_shapes import is_ours
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.pruner import PRUNERS
from cvfp_opt.tuning.sampler import SAMPLERS, PerTrialSampler

if TYPE_CHECKING:
    from cvfp_opt.training.result import IterationMetrics


def sampler_of(definition: StudyDefinition) -> PerTrialSampler:
    """Make the sampler that a definition names; what it proposes follows from the study alone."""
    search = definition.search
    return PerTrialSampler(
        SAMPLERS[search.sampler],
        search.seed,
        search.num_startup_trials,
        search.max_sampler_trials,
    )


def pruner_of(definition: StudyDefinition) -> BasePruner:
    """Make the pruner that a definition names; it goes by what trials promise."""
    search = definition.search
    return PRUNERS[search.pruner](
        search.num_pruner_startup_trials,
        search.num_pruner_warmup_steps,
        partial(promise, definition),
    )


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
    return definition.objective.promise(residual, rank, threshold)


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
