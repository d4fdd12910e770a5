"""The one reader of studies and trials: rows as the database has them, for each caller's view.

Nothing is parsed or checked here: SQLite keeps anything in any column. Optuna's own reader makes
an object of each row and parses all of it: 9 s of processor time for 10 000 trials, where the two
statements of this one take 0.5 s (docs/performance.md).
"""

import gc
import math
from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from optuna.trial import TrialState
from sqlalchemy import (
    Column,
    ColumnElement,
    CompoundSelect,
    Connection,
    CursorResult,
    Engine,
    Select,
    String,
    Table,
    bindparam,
    case,
    literal_column,
    null,
    or_,
    select,
    type_coerce,
    union_all,
)
from sqlalchemy.exc import DBAPIError

from cvfp_opt.store.database.damage import all_parsed
from cvfp_opt.store.database.tables import (
    DIRECTIONS,
    INTERMEDIATE,
    PARAMS,
    STUDIES,
    STUDY_SYSTEM_ATTRIBUTES,
    STUDY_USER_ATTRIBUTES,
    SYSTEM_ATTRIBUTES,
    TRIALS,
    USER_ATTRIBUTES,
    VALUES,
)

# Up to so many trials are asked for by their ids, more of them by the range of their ids.
MAX_IDS = 200


@dataclass(slots=True)
class RawTrial:
    """The rows of a trial.

    Attributes:
        state: the name of a TrialState.
        started, completed: in UTC; a text in SQLite, see ``moment``.
        values: by objective; None for what is no number.
        intermediate: by step, likewise.
        params: place, name, value in Optuna's internal representation, and the JSON of the
            distribution; in any order.
        user_attrs, system_attrs: JSON by key.
    """

    trial_id: int
    number: Any
    state: Any
    started: Any
    completed: Any
    values: dict[Any, Any] = field(default_factory=dict)
    intermediate: dict[Any, Any] = field(default_factory=dict)
    params: list[tuple[Any, Any, Any, Any]] = field(default_factory=list)
    user_attrs: dict[Any, Any] = field(default_factory=dict)
    system_attrs: dict[Any, Any] = field(default_factory=dict)


@dataclass(slots=True)
class RawStudy:
    """The rows of a study, without its trials.

    Attributes:
        directions: names, by objective.
        user_attrs, system_attrs: JSON by key.
    """

    study_id: int
    name: Any
    directions: list[Any]
    user_attrs: dict[Any, Any]
    system_attrs: dict[Any, Any]


def read_raw_studies(connection: Connection) -> list[RawStudy]:
    """Read all studies, in the order in which they were created."""
    directions = direction_names(connection)
    user = attribute_texts(connection, STUDY_USER_ATTRIBUTES)
    system = attribute_texts(connection, STUDY_SYSTEM_ATTRIBUTES)
    rows = connection.execute(
        select(STUDIES.c.study_id, STUDIES.c.study_name).order_by(STUDIES.c.study_id)
    )
    return [RawStudy(key, name, directions[key], user[key], system[key]) for key, name in rows]


def direction_names(
    connection: Connection, study_id: int | None = None
) -> defaultdict[int, list[Any]]:
    """Read the directions of one study or of all, by the study's id and in their order."""
    columns = DIRECTIONS.c
    name = type_coerce(columns.direction, String)  # one that is none is no fault of the others
    query = select(columns.study_id, name).order_by(columns.objective)
    if study_id is not None:
        query = query.where(columns.study_id == study_id)
    found: defaultdict[int, list[Any]] = defaultdict(list)
    for key, direction in connection.execute(query):
        found[key].append(direction)
    return found


def attribute_texts(
    connection: Connection, table: Table, study_id: int | None = None
) -> defaultdict[int, dict[Any, Any]]:
    """Read the attributes of one study or of all, by the study's id and by key."""
    query = select(table.c.study_id, table.c.key, table.c.value_json)
    if study_id is not None:
        query = query.where(table.c.study_id == study_id)
    found: defaultdict[int, dict[Any, Any]] = defaultdict(dict)
    for owner, key, text in connection.execute(query):
        found[owner][key] = text
    return found


def study_attributes(connection: Connection, table: Table, study_id: int) -> dict[str, Any]:
    """Read and parse the attributes of a study; None for one that is no JSON."""
    texts = attribute_texts(connection, table, study_id)[study_id]
    return all_parsed({key: text for key, text in texts.items() if isinstance(key, str)})


@contextmanager
def one_moment(engine: Engine) -> Iterator[Connection]:
    """Open a transaction in which all that is read is of the same moment."""
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            # the driver begins a transaction for writes only
            connection.exec_driver_sql("BEGIN")
        else:
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        yield connection


_HEAD = select(
    TRIALS.c.trial_id,
    TRIALS.c.number,
    type_coerce(TRIALS.c.state, String),
    type_coerce(TRIALS.c.datetime_start, String),
    type_coerce(TRIALS.c.datetime_complete, String),
).order_by(TRIALS.c.trial_id)
_OF_STUDY = TRIALS.c.study_id == bindparam("study_id")
_BEYOND = TRIALS.c.trial_id > bindparam("beyond")
_AMONG = TRIALS.c.trial_id.in_(bindparam("ids", expanding=True))
_ONE = _HEAD.where(TRIALS.c.trial_id == bindparam("trial_id"))
_NEW = _HEAD.where(_OF_STUDY, _BEYOND)
_NEW_AND_SOME = _HEAD.where(_OF_STUDY, or_(_BEYOND, _AMONG))

# Optuna stores inf and NaN as NULL and a type, which each kind of database has in a type of its
# own: it is asked for as one of these numbers.
SPECIAL = {1: math.inf, 2: -math.inf, 3: math.nan}


def special_number(kind: Column[Any]) -> ColumnElement[Any]:
    """Select the key of SPECIAL for a value that is NULL, by the column with its type."""
    # SQLite has NULL for NaN itself, which Optuna then calls finite
    pairs = [("INF_POS", 1), ("INF_NEG", 2), ("NAN", 3), ("FINITE", 3)]
    names = kind.type.enums  # type: ignore[attr-defined]
    return case(*((kind == name, number) for name, number in pairs if name in names), else_=0)


# The parts of a trial, in the first column of the rows below.
_VALUE, _REPORT, _PARAM, _USER, _SYSTEM = range(5)


def _parts(which: Any, *of_user_attributes: Any) -> CompoundSelect[Any]:
    """Select all parts of trials: part, trial, number, name, value, special, value_json.

    Args:
        which: a list of trial ids, as SQL.
        of_user_attributes: a condition on those.
    """

    def part(place: int, table: Table, *where: Any, **columns: Any) -> Select[Any]:
        names = ("number", "name", "value", "special", "value_json")
        given = [columns.get(name, null()).label(name) for name in names]
        found = select(literal_column(str(place)), table.c.trial_id, *given)
        return found.where(table.c.trial_id.in_(which), *where)

    def attributes(place: int, table: Table, *where: Any) -> Select[Any]:
        return part(place, table, *where, name=table.c.key, value_json=table.c.value_json)

    values, reports, params = VALUES.c, INTERMEDIATE.c, PARAMS.c
    return union_all(
        part(
            _VALUE,
            VALUES,
            number=values.objective,
            value=values.value,
            special=special_number(values.value_type),
        ),
        part(
            _REPORT,
            INTERMEDIATE,
            number=reports.step,
            value=reports.intermediate_value,
            special=special_number(reports.intermediate_value_type),
        ),
        part(
            _PARAM,
            PARAMS,
            number=params.param_id,
            name=params.param_name,
            value=params.param_value,
            value_json=params.distribution_json,
        ),
        attributes(_USER, USER_ATTRIBUTES, *of_user_attributes),
        attributes(_SYSTEM, SYSTEM_ATTRIBUTES),
    )


_IN_RANGE = select(TRIALS.c.trial_id).where(
    _OF_STUDY, TRIALS.c.trial_id.between(bindparam("first"), bindparam("last"))
)
_PARTS_OF_SOME = _parts(bindparam("ids", expanding=True))
_PARTS_OF_RANGE = _parts(_IN_RANGE)
_FEWER_PARTS_OF_RANGE = _parts(
    _IN_RANGE, USER_ATTRIBUTES.c.key.in_(bindparam("keys", expanding=True))
)


def read_raw_trial(connection: Connection, trial_id: int) -> RawTrial | None:
    """Read one trial; None if there is none of that id."""
    head = connection.execute(_ONE, {"trial_id": trial_id}).first()
    if head is None:
        return None
    trial = RawTrial(*head)
    _read_parts(connection, _PARTS_OF_SOME, {"ids": [trial_id]}, {trial_id: trial})
    return trial


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Look for no garbage while much is made and nothing given up: it took a fifth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@without_garbage_collection()
def read_raw_trials(
    connection: Connection,
    study_id: int,
    *,
    states: Container[str] | None = None,
    beyond: int = -1,
    some: Collection[int] = (),
    keys: Iterable[str] | None = None,
) -> list[RawTrial]:
    """Read trials of a study, in the order of their ids.

    Args:
        states: names of those wanted; None for all.
        beyond: of these, those whose id is larger,
        some: and those of these ids.
        keys: of the user attributes that are wanted; None for all.
    """
    query: Select[Any] = _NEW
    wanted = {"study_id": study_id, "beyond": beyond, "ids": list(some)}
    if len(some) > MAX_IDS:
        wanted["beyond"] = min(*some, beyond + 1) - 1
    elif some:
        query = _NEW_AND_SOME
    trials = {
        row[0]: RawTrial(*row)
        for row in connection.execute(query, wanted)
        if (states is None or row[2] in states) and (row[0] > beyond or row[0] in some)
    }
    if keys is None and len(trials) <= MAX_IDS:
        if trials:
            _read_parts(connection, _PARTS_OF_SOME, {"ids": list(trials)}, trials)
        return list(trials.values())
    if trials:
        given = {"study_id": study_id, "first": min(trials), "last": max(trials)}
        if keys is None:
            _read_parts(connection, _PARTS_OF_RANGE, given, trials)
        else:
            given["keys"] = list(keys)
            _read_parts(connection, _FEWER_PARTS_OF_RANGE, given, trials)
    return list(trials.values())


def _read_parts(
    connection: Connection,
    query: CompoundSelect[Any],
    given: Mapping[str, Any],
    trials: Mapping[int, RawTrial],
) -> None:
    """Fill trials, by id, with their parts; the query may find those of others, too."""
    with closing(connection.execute(query, given)) as result:
        # of the driver itself: 250 000 rows of SQLAlchemy's take 0.15 s more
        while block := _fetch(connection, result):
            for part, trial_id, number, name, value, special, text in block:
                trial = trials.get(trial_id)
                if trial is None:
                    continue
                if part == _USER:
                    trial.user_attrs[name] = text
                elif part == _SYSTEM:
                    trial.system_attrs[name] = text
                elif part == _PARAM:
                    trial.params.append((number, name, value, text))
                else:
                    figures = trial.intermediate if part == _REPORT else trial.values
                    figures[number] = value if value is not None else SPECIAL.get(special)


def _fetch(connection: Connection, result: CursorResult[Any]) -> Sequence[Any]:
    """Fetch the next rows from the driver; what it raises becomes SQLAlchemy's error as always."""
    driver = connection.dialect.dbapi
    assert driver is not None
    assert result.cursor is not None
    try:
        return result.cursor.fetchmany(1000)
    except driver.Error as error:
        raise DBAPIError.instance(
            "", None, error, driver.Error, dialect=connection.dialect
        ) from error


def moment(value: Any) -> datetime | None:
    """Read a time that a column holds.

    Raises:
        ValueError, TypeError: it is no time.
    """
    return value if value is None or isinstance(value, datetime) else datetime.fromisoformat(value)


def state_of(trial: RawTrial) -> TrialState:
    """Read a trial's state.

    Raises:
        ValueError: it is none that Optuna knows.
    """
    try:
        return TrialState[trial.state]
    except KeyError:
        raise ValueError(f"its state is {trial.state!r}") from None
