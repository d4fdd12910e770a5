"""Samplers and pruners of the user's own: functions that make one, imported and tried."""

from collections.abc import Callable

import numpy as np
import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import TrialState, create_trial

from cvfp_opt.model.custom_functions import load_function
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.keyword_settings import construct

_SAMPLER = (
    "a function of (seed: int, num_startup_trials: int, and by name what search.sampler_settings "
    "has) that returns an optuna.samplers.BaseSampler, which proposes the same for the same seed "
    "and study"
)
_PRUNER = (
    "a function of (num_startup_trials: int, num_warmup_steps: int, and by name what "
    "search.pruner_settings has) that returns an optuna.pruners.BasePruner"
)


def own_sampler(definition: StudyDefinition) -> Callable[..., BaseSampler]:
    """Import the function that makes the sampler, and have one propose a point.

    It is called for each trial with a seed of the trial's own.

    Raises:
        DefinitionError: it cannot be imported, or does not fit.
    """
    search = definition.search

    def try_it(make: Callable[..., BaseSampler]) -> str | None:
        points = []
        for _ in range(2):
            startup = search.num_startup_trials
            sampler = construct(make, 1, num_startup_trials=startup, **search.sampler_settings)
            if not isinstance(sampler, BaseSampler):
                return f"a {type(sampler).__name__}"
            study = _invented(definition)
            study.sampler = sampler
            points.append(study.ask(definition.space.distributions()).params)
        if points[0] != points[1]:
            return f"with one seed, {points[0]} and {points[1]}"
        return None

    return load_function("search.sampler", search.sampler, _SAMPLER, try_it)


def own_pruner(definition: StudyDefinition) -> Callable[..., BasePruner]:
    """Import the function that makes the pruner, and ask one about a trial.

    Raises:
        DefinitionError: it cannot be imported, or does not fit.
    """
    search = definition.search

    def try_it(make: Callable[..., BasePruner]) -> str | None:
        pruner = construct(
            make,
            num_startup_trials=search.num_pruner_startup_trials,
            num_warmup_steps=search.num_pruner_warmup_steps,
            **search.pruner_settings,
        )
        if not isinstance(pruner, BasePruner):
            return f"a {type(pruner).__name__}"
        study = _invented(definition)
        answer = pruner.prune(study, study.get_trials(deepcopy=False)[-1])
        return (
            None
            if isinstance(answer, bool | np.bool_)
            else f"{answer!r} for whether to prune a trial"
        )

    return load_function("search.pruner", search.pruner, _PRUNER, try_it)


def _invented(definition: StudyDefinition) -> optuna.Study:
    """Make a study in memory with a trial for each of those that begin at random, and one more."""
    wanted = definition.objective.num_objectives
    study = optuna.create_study(directions=["maximize"] * wanted)
    distributions = definition.space.distributions()
    source = optuna.samplers.RandomSampler(seed=0)
    steps = {0: 0.25, 1: 0.5} if wanted == 1 else {}
    for number in range(definition.search.num_startup_trials + 1):
        trial = optuna.create_study(sampler=source).ask(distributions)
        study.add_trial(
            create_trial(
                state=TrialState.COMPLETE,
                values=[0.5 + 0.25 * (number % 2)] * len(study.directions),
                params=trial.params,
                distributions=distributions,
                intermediate_values=steps,
            )
        )
    return study
