"""Studies and trials as Optuna's storage gives them, made of their rows.

Optuna's own way stops at the first attribute that is no JSON, of whichever study or trial.
"""

from collections.abc import Collection, Container, Sequence
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, select

from cvfp_opt.store.database.damage import UNREADABLE, all_parsed, values_read, without_halves
from cvfp_opt.store.database.lazy_attributes import UnparsedTrial
from cvfp_opt.store.database.optuna_private import NOT_FOUND, FrozenStudy
from cvfp_opt.store.database.reading import (
    RawStudy,
    RawTrial,
    direction_names,
    moment,
    read_raw_studies,
    read_raw_trial,
    read_raw_trials,
    state_of,
    study_attributes,
    without_garbage_collection,
)
from cvfp_opt.store.database.rows import local
from cvfp_opt.store.database.tables import (
    STUDIES,
    STUDY_SYSTEM_ATTRIBUTES,
    STUDY_USER_ATTRIBUTES,
)


def read_studies(connection: Connection) -> list[FrozenStudy]:
    """Read all studies, in the order in which they were created.

    Raises:
        Damaged: one has no objective, or none that there is.
    """
    with values_read("studies"):
        return [_study(raw) for raw in read_raw_studies(connection)]


def _study(raw: RawStudy) -> FrozenStudy:
    if not isinstance(raw.name, str):
        raise TypeError(f"study {raw.study_id} has the name {raw.name!r}")
    return FrozenStudy(
        study_name=raw.name,
        direction=None,
        directions=_directions(raw.directions, raw.name),
        user_attrs=_text_keys(raw.user_attrs),
        system_attrs=_text_keys(raw.system_attrs),
        study_id=raw.study_id,
    )


def _directions(names: Sequence[Any], study: str) -> list[StudyDirection]:
    if not names:
        raise ValueError(f"study {study} has no objective")
    for name in names:
        if name not in StudyDirection.__members__:
            raise ValueError(f"study {study} has the direction {name!r}")
    return [StudyDirection[name] for name in names]


def _text_keys(texts: dict[Any, Any]) -> dict[str, Any]:
    return all_parsed({key: text for key, text in texts.items() if isinstance(key, str)})


def read_directions(connection: Connection, study_id: int) -> list[StudyDirection]:
    """Read the directions of a study.

    Raises:
        KeyError: there is no such study.
        Damaged: it has none, or none that there is.
    """
    with values_read(f"study {study_id}"):
        names = direction_names(connection, study_id)[study_id]
    if not names:
        _require(connection, study_id)
    with values_read(f"study {study_id}"):
        return _directions(names, str(study_id))


def read_attributes(connection: Connection, study_id: int, *, system: bool) -> dict[str, Any]:
    """Read the user or system attributes of a study; None for one that is no JSON.

    Raises:
        KeyError: there is no such study.
    """
    table = STUDY_SYSTEM_ATTRIBUTES if system else STUDY_USER_ATTRIBUTES
    with values_read(f"study {study_id}"):
        attributes = study_attributes(connection, table, study_id)
    if not attributes:
        _require(connection, study_id)
    return attributes


def _require(connection: Connection, study_id: int) -> None:
    """Raise what Optuna raises for a study that does not exist, if it does not."""
    query = select(STUDIES.c.study_id).where(STUDIES.c.study_id == study_id)
    if connection.scalar(query) is None:
        raise KeyError(NOT_FOUND)


def read_trial(connection: Connection, trial_id: int) -> FrozenTrial:
    """Read one trial.

    Raises:
        KeyError: there is none of that id.
        Damaged: what is stored of it is no trial.
    """
    with values_read(f"trial of id {trial_id}"):
        raw = read_raw_trial(connection, trial_id)
    if raw is None:
        raise KeyError(NOT_FOUND)
    return _trial(raw).plain()


@without_garbage_collection()
def read_trials(
    connection: Connection,
    study_id: int,
    *,
    states: Container[TrialState] | None = None,
    beyond: int = -1,
    some: Collection[int] = (),
) -> list[FrozenTrial]:
    """Read trials of a study, in the order of their ids; the arguments are ``read_raw_trials``'s.

    Raises:
        Damaged: what is stored of one is no trial.
    """
    names = None if states is None else [state.name for state in TrialState if state in states]
    with values_read("trials"):
        found = read_raw_trials(connection, study_id, states=names, beyond=beyond, some=some)
    return [_trial(raw) for raw in found]


def _trial(raw: RawTrial) -> UnparsedTrial:
    with values_read(f"trial of id {raw.trial_id}"):
        state = state_of(raw)
        _check(raw, state)
        params, distributions = _parameters(raw)
        values = raw.values
        return UnparsedTrial.of(
            raw.user_attrs,
            number=raw.number,
            state=state,
            value=None,
            values=[values[i] for i in range(len(values))] if values else None,
            datetime_start=local(moment(raw.started)),
            datetime_complete=local(moment(raw.completed)),
            params=params,
            distributions=distributions,
            system_attrs=all_parsed(raw.system_attrs),
            intermediate_values=raw.intermediate,
            trial_id=raw.trial_id,
        )


def _parameters(raw: RawTrial) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    """Read a trial's parameters and their distributions, in the order of their suggestion."""
    params, distributions = {}, {}
    for _, name, value, text in sorted(raw.params):
        if not isinstance(name, str):
            raise ValueError(f"a parameter has the name {name!r}")
        if not isinstance(value, int | float):
            raise ValueError(f"the value of parameter {name!r} is {value!r}")
        try:  # of 40 000 parameters, ``values_read`` would take 0.1 s
            distributions[name] = distribution = _distribution(text)
            params[name] = distribution.to_external_repr(value)
        except UNREADABLE as error:
            raise ValueError(f"parameter {name!r}: {error}") from error
    return params, distributions


def _check(raw: RawTrial, state: TrialState) -> None:
    """Refuse what Optuna never writes; SQLite keeps text where a number should be, too."""
    if type(raw.number) is not int or raw.number < 0:
        raise ValueError(f"its number is {raw.number!r}")
    if state is TrialState.COMPLETE and not raw.values:
        raise ValueError("it is complete and has no value")
    for what, figures in (("value", raw.values), ("reported value", raw.intermediate)):
        for place, figure in figures.items():
            if type(place) is not int or not isinstance(figure, int | float):
                raise ValueError(f"its {what} {place!r} is {figure!r}")


@lru_cache(maxsize=1024)
def _distribution(text: str) -> BaseDistribution:
    """Parse a distribution; trials of a study have the same ones, over and over."""
    return json_to_distribution(without_halves(text))
