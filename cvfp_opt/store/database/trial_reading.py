"""Trials as Optuna's storage gives them, by two plain queries.

Optuna's own way makes an object of each row and parses all that a trial ever said: with 10 000
trials that takes 9 s of processor time, this way 0.5 s (docs/performance.md).
"""

import gc
from collections import defaultdict
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import (
    Column,
    ColumnElement,
    CompoundSelect,
    Connection,
    CursorResult,
    Select,
    Table,
    bindparam,
    case,
    literal_column,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy.exc import DBAPIError

from cvfp_opt.store.database.damage import all_parsed, values_read, without_halves
from cvfp_opt.store.database.lazy_attributes import UnparsedTrial
from cvfp_opt.store.database.rows import local
from cvfp_opt.store.database.tables import (
    INTERMEDIATE,
    PARAMS,
    SYSTEM_ATTRIBUTES,
    TRIALS,
    USER_ATTRIBUTES,
    VALUES,
)

# So many trials are asked for by their ids, more of them by the study and the range of their ids.
MAX_IDS = 200

_HEAD = select(
    TRIALS.c.trial_id,
    TRIALS.c.number,
    TRIALS.c.state,
    TRIALS.c.datetime_start,
    TRIALS.c.datetime_complete,
).order_by(TRIALS.c.trial_id)
_OF_STUDY = TRIALS.c.study_id == bindparam("study_id")
_BEYOND = TRIALS.c.trial_id > bindparam("beyond")
_AMONG = TRIALS.c.trial_id.in_(bindparam("ids", expanding=True))
_ONE = _HEAD.where(TRIALS.c.trial_id == bindparam("trial_id"))
_NEW = _HEAD.where(_OF_STUDY, _BEYOND)
_NEW_AND_SOME = _HEAD.where(_OF_STUDY, or_(_BEYOND, _AMONG))

# What stands beside NULL where SQL has no number for a value.
_Value = models.TrialValueModel.TrialValueType
_Intermediate = models.TrialIntermediateValueModel.TrialIntermediateValueType
_SPECIAL = {1: float("inf"), 2: float("-inf"), 3: float("nan")}


def _special(kind: Column[Any], names: Any) -> ColumnElement[Any]:
    """As a key of _SPECIAL: an integer, for each database has a type of its own for ``kind``."""
    pairs = [(kind == names.INF_POS, 1), (kind == names.INF_NEG, 2)]
    return case(*pairs, else_=3)


def _what_is_said(which: Any) -> CompoundSelect[Any]:
    """All that trials say, as rows of: part, trial, number, name, value, special, text.

    Args:
        which: a list of trial ids, as SQL.
    """

    def part(place: int, table: Table, **columns: Any) -> Select[Any]:
        names = ("number", "name", "value", "special", "text")
        given = [columns.get(name, null()) for name in names]
        found = select(literal_column(str(place)), table.c.trial_id, *given)
        return found.where(table.c.trial_id.in_(which))

    values, reports, params = VALUES.c, INTERMEDIATE.c, PARAMS.c
    return union_all(
        part(
            0,
            VALUES,
            number=values.objective,
            value=values.value,
            special=_special(values.value_type, _Value),
        ),
        part(
            1,
            INTERMEDIATE,
            number=reports.step,
            value=reports.intermediate_value,
            special=_special(reports.intermediate_value_type, _Intermediate),
        ),
        part(
            2,
            PARAMS,
            number=params.param_id,
            name=params.param_name,
            value=params.param_value,
            text=params.distribution_json,
        ),
        *(
            part(i, table, name=table.c.key, text=table.c.value_json)
            for i, table in ((3, USER_ATTRIBUTES), (4, SYSTEM_ATTRIBUTES))
        ),
    )


_SAID_BY_SOME = _what_is_said(bindparam("ids", expanding=True))
_SAID_BY_RANGE = _what_is_said(
    select(TRIALS.c.trial_id).where(
        _OF_STUDY, TRIALS.c.trial_id.between(bindparam("first"), bindparam("last"))
    )
)


def read_trial(connection: Connection, trial_id: int) -> FrozenTrial:
    """One trial.

    Raises:
        KeyError: there is none of that id.
        Damaged: what is stored of it is no trial.
    """
    with values_read(f"trial of id {trial_id}"):
        rows = connection.execute(_ONE, {"trial_id": trial_id}).all()
    if not rows:
        raise KeyError(models.NOT_FOUND_MSG)
    return _trial(rows[0], _read_parts(connection, _SAID_BY_SOME, {"ids": [trial_id]})).plain()


def read_trials(
    connection: Connection,
    study_id: int,
    *,
    states: Container[TrialState] | None = None,
    beyond: int = -1,
    some: Collection[int] = (),
) -> list[FrozenTrial]:
    """Trials of a study, in the order of their ids.

    Args:
        states: those wanted; None for all.
        beyond: of these, those whose id is larger,
        some: and those of these ids.

    Raises:
        Damaged: what is stored of one is no trial.
    """
    query: Select[Any] = _NEW
    wanted = {"study_id": study_id, "beyond": beyond, "ids": list(some)}
    if len(some) > MAX_IDS:
        wanted["beyond"] = min(*some, beyond + 1) - 1
    elif some:
        query = _NEW_AND_SOME
    with values_read("trials"):
        rows = [
            row
            for row in connection.execute(query, wanted)
            if (states is None or row.state in states)
            and (row.trial_id > beyond or row.trial_id in some)
        ]
    if not rows:
        return []
    if len(rows) <= MAX_IDS:
        parts = _read_parts(connection, _SAID_BY_SOME, {"ids": [row.trial_id for row in rows]})
        return [_trial(row, parts) for row in rows]
    ends = {"first": rows[0].trial_id, "last": rows[-1].trial_id}
    with _nothing_collected():
        parts = _read_parts(connection, _SAID_BY_RANGE, {"study_id": study_id, **ends})
        return [_trial(row, parts) for row in rows]


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """While much is made and nothing given up: a fifth of the time went to looking for garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _by_trial() -> defaultdict[int, dict[Any, Any]]:
    return defaultdict(dict)


@dataclass(frozen=True)
class _Parts:
    """What trials say: by their ids, and then by objective, step, name or key."""

    values: dict[int, dict[int, float]] = field(default_factory=_by_trial)
    intermediate: dict[int, dict[int, float]] = field(default_factory=_by_trial)
    params: dict[int, dict[str, Any]] = field(default_factory=_by_trial)
    distributions: dict[int, dict[str, BaseDistribution]] = field(default_factory=_by_trial)
    user: dict[int, dict[str, str]] = field(default_factory=_by_trial)
    system: dict[int, dict[str, str]] = field(default_factory=_by_trial)


def _read_parts(
    connection: Connection, query: CompoundSelect[Any], wanted: Mapping[str, Any]
) -> _Parts:
    """What is said by some trials, and perhaps by others of their study."""
    found = _Parts()
    params = []
    with closing(connection.execute(query, wanted)) as result:
        # of the driver itself: 250 000 rows of SQLAlchemy's take 0.15 s more
        while block := _fetch(connection, result):
            for part, trial_id, number, name, value, special, text in block:
                if part == 3:
                    found.user[trial_id][name] = text
                elif part == 1:
                    said = value if value is not None else _SPECIAL[special]
                    found.intermediate[trial_id][number] = said
                elif part == 2:
                    params.append((number, trial_id, name, value, text))
                elif part == 4:
                    found.system[trial_id][name] = text
                else:
                    said = value if value is not None else _SPECIAL[special]
                    found.values[trial_id][number] = said
    with values_read("parameters"):
        params.sort()  # as they were suggested
    for _, trial_id, name, value, text in params:
        with values_read(f"trial of id {trial_id}, parameter {name!r}"):
            if not isinstance(name, str):
                raise ValueError("its name is no text")
            if not isinstance(value, int | float):
                raise ValueError(f"its value is {value!r}")
            distribution = _distribution(text)
            found.distributions[trial_id][name] = distribution
            found.params[trial_id][name] = distribution.to_external_repr(value)
    return found


def _fetch(connection: Connection, result: CursorResult[Any]) -> Sequence[Any]:
    """The next rows, as the driver gives them; what it raises is SQLAlchemy's error as always."""
    driver = connection.dialect.dbapi
    assert driver is not None
    assert result.cursor is not None
    try:
        return result.cursor.fetchmany(1000)
    except driver.Error as error:
        raise DBAPIError.instance(
            "", None, error, driver.Error, dialect=connection.dialect
        ) from error


def _trial(head: Any, parts: _Parts) -> UnparsedTrial:
    trial_id, number, state, started, completed = head
    with values_read(f"trial of id {trial_id}"):
        values = parts.values.get(trial_id)
        reported = parts.intermediate.get(trial_id, {})
        _check(number, state, values, reported)
        return UnparsedTrial.of(
            parts.user.get(trial_id, {}),
            number=number,
            state=state,
            value=None,
            values=None if values is None else [values[i] for i in range(len(values))],
            datetime_start=local(started),
            datetime_complete=local(completed),
            params=parts.params.get(trial_id, {}),
            distributions=parts.distributions.get(trial_id, {}),
            system_attrs=all_parsed(parts.system.get(trial_id, {})),
            intermediate_values=reported,
            trial_id=trial_id,
        )


def _check(
    number: Any, state: Any, values: dict[int, Any] | None, reported: dict[int, Any]
) -> None:
    """Refuse what Optuna never writes; SQLite keeps text where a number should be, too."""
    if type(number) is not int or number < 0:
        raise ValueError(f"its number is {number!r}")
    if not isinstance(state, TrialState):
        raise ValueError(f"its state is {state!r}")
    if state is TrialState.COMPLETE and not values:
        raise ValueError("it is complete and has no value")
    for what, figures in (("value", values or {}), ("reported value", reported)):
        for place, figure in figures.items():
            if type(place) is not int or not isinstance(figure, int | float):
                raise ValueError(f"its {what} {place!r} is {figure!r}")


@lru_cache(maxsize=1024)
def _distribution(text: str) -> BaseDistribution:
    """Trials of a study have the same ones, over and over."""
    return json_to_distribution(without_halves(text))
