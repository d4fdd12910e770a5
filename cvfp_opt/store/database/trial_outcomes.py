"""Outcomes of the trials of all studies, by three statements for any number of studies."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from optuna.trial import TrialState
from sqlalchemy import Connection, String, func, select, type_coerce

from cvfp_opt.store.database.constraints import is_infeasible_row
from cvfp_opt.store.database.damage import parsed, values_read
from cvfp_opt.store.database.reading import SPECIAL, special_number
from cvfp_opt.store.database.tables import DIRECTIONS, TRIALS, USER_ATTRIBUTES, VALUES

_STATES = (
    select(TRIALS.c.study_id, type_coerce(TRIALS.c.state, String), func.count())
    .group_by(TRIALS.c.study_id, TRIALS.c.state)
    .order_by(func.min(TRIALS.c.trial_id))  # as the trials came
)
_COMPLETE = TRIALS.c.state == TrialState.COMPLETE
_VALUES = (
    select(
        TRIALS.c.study_id,
        TRIALS.c.trial_id,
        VALUES.c.objective,
        VALUES.c.value,
        special_number(VALUES.c.value_type),
        is_infeasible_row(),
    )
    .outerjoin_from(TRIALS, VALUES, TRIALS.c.trial_id == VALUES.c.trial_id)
    .where(_COMPLETE)
    .order_by(TRIALS.c.trial_id, VALUES.c.objective)
)
_OF_SEVERAL_OBJECTIVES = select(DIRECTIONS.c.study_id).where(DIRECTIONS.c.objective > 0)
_ATTRIBUTE = (
    select(TRIALS.c.trial_id, USER_ATTRIBUTES.c.value_json)
    .join_from(TRIALS, USER_ATTRIBUTES, TRIALS.c.trial_id == USER_ATTRIBUTES.c.trial_id)
    .where(_COMPLETE, TRIALS.c.study_id.in_(_OF_SEVERAL_OBJECTIVES))
)


@dataclass
class Complete:
    """A complete trial.

    Attributes:
        values: of each objective.
        attribute: the user attribute that was asked for; None unless there are several objectives.
        feasible: whether it violates no constraint.
    """

    values: list[float] = field(default_factory=list)
    feasible: bool = True
    attribute: Any = None


@dataclass
class Outcomes:
    """The trials of a study: how many are in each state, in lower case, and the complete ones."""

    num_trials: Counter[str] = field(default_factory=Counter)
    complete: dict[int, Complete] = field(default_factory=lambda: defaultdict(Complete))


def read_outcomes(connection: Connection, attribute: str) -> defaultdict[int, Outcomes]:
    """Read the outcomes of all studies, by the study's id.

    Args:
        attribute: key of a user attribute, read where a study has several objectives.

    Raises:
        Damaged: a state that Optuna does not know, or a complete trial without values.
    """
    found: defaultdict[int, Outcomes] = defaultdict(Outcomes)
    with values_read("trials"):
        for study_id, state, count in connection.execute(_STATES):
            if state not in TrialState.__members__:
                raise ValueError(f"the state of a trial is {state!r}")
            found[study_id].num_trials[state.lower()] = count
        for study_id, trial_id, value, infeasible in _values(connection):
            found[study_id].complete[trial_id].values.append(value)
            found[study_id].complete[trial_id].feasible = not infeasible
        rows = connection.execute(_ATTRIBUTE.where(USER_ATTRIBUTES.c.key == attribute))
        attributes = {trial_id: parsed(text) for trial_id, text in rows}
    for outcomes in found.values():
        for trial_id in outcomes.complete.keys() & attributes.keys():
            outcomes.complete[trial_id].attribute = attributes[trial_id]
    return found


def _values(connection: Connection) -> Iterator[tuple[int, int, float, bool]]:
    """Read the values of complete trials, as study, trial, value and whether it is infeasible."""
    for study_id, trial_id, objective, value, special, infeasible in connection.execute(_VALUES):
        if objective is None:
            raise ValueError(f"trial of id {trial_id} is complete and has no value")
        number = value if value is not None else SPECIAL.get(special)
        if not isinstance(number, int | float):
            raise ValueError(f"the value of trial of id {trial_id} is {number!r}")
        yield study_id, trial_id, number, bool(infeasible)
