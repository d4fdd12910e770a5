"""Optuna's constraints of a trial: numbers that are at most 0 where it is feasible.

Optuna takes the best trial from the feasible ones, and its samplers learn from the others what to
avoid. It stores a constraint as a system attribute of the trial.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, select

from cvfp_opt.store.database.number_checks import is_number
from cvfp_opt.store.database.optuna_private import CONSTRAINTS
from cvfp_opt.store.database.tables import SYSTEM_ATTRIBUTES, TRIALS

_PREFIX = f"{CONSTRAINTS}:"


def constraints_of(system_attributes: Mapping[str, Any]) -> dict[str, float]:
    """Collect a trial's constraints by name; those that Optuna 4 stored, by their place."""
    former = system_attributes.get(CONSTRAINTS)
    found = dict(enumerate(former)) if isinstance(former, list | tuple) else {}
    named = {
        key.removeprefix(_PREFIX): value
        for key, value in system_attributes.items()
        if key.startswith(_PREFIX)
    }
    everything = {str(place): value for place, value in found.items()} | named
    return {name: float(value) for name, value in everything.items() if is_number(value)}


def constraint_attributes(constraints: Mapping[str, float]) -> dict[str, float]:
    """Give the system attributes by which Optuna stores constraints.

    ``Trial.set_constraint`` would ask the database first whether there are any.
    """
    return {f"{_PREFIX}{name}": value for name, value in constraints.items()}


def is_feasible(constraints: Mapping[str, float]) -> bool:
    """Check that no constraint is violated; a trial without any is feasible."""
    return not any(value > 0.0 for value in constraints.values())


def is_infeasible_row() -> ColumnElement[bool]:
    """Select trials that violate a constraint, by the text of its number: no database casts it."""
    text = SYSTEM_ATTRIBUTES.c.value_json
    return (
        select(SYSTEM_ATTRIBUTES.c.trial_id)
        .where(
            SYSTEM_ATTRIBUTES.c.trial_id == TRIALS.c.trial_id,
            SYSTEM_ATTRIBUTES.c.key.startswith(_PREFIX, autoescape=True),
            text.regexp_match("^[0-9]*[.]?[0-9]*[1-9]") | (text == "Infinity"),
        )
        .correlate(TRIALS)
        .exists()
    )
