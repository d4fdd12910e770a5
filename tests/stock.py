"""Objectives for stock Optuna, and studies that it runs, small."""

from typing import Any

import optuna
from support import TINY

from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.definition_file import read_sections, resolve_definition
from cvfp_opt.tuning.sampler_pruner import pruner_of, sampler_of
from cvfp_opt.tuning.stock_objective import StockObjective


def tiny(*settings: str, name: str = "quick") -> StudyDefinition:
    """A built-in definition on a tiny net."""
    return resolve_definition(read_sections(name), [*TINY, *settings], where=name)


def stock_study(definition: StudyDefinition, **options: Any) -> optuna.Study:
    """A study as a user of Optuna makes it, with sampler and pruner of the definition."""
    directions = {"directions": ["maximize"] * definition.objective.num_objectives}
    made = {
        "sampler": sampler_of(definition),
        "pruner": pruner_of(definition),
    }
    made |= {} if "direction" in options else directions
    return optuna.create_study(**(made | options))


def optimized(num_trials: int, *settings: str, name: str = "quick", **options: Any) -> Any:
    """Such a study with some trials."""
    definition = tiny(*settings, name=name)
    study = stock_study(definition, **options)
    study.optimize(StockObjective(definition=definition, name=name), n_trials=num_trials)
    return study
