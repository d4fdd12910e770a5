"""Studies and trials as their rows have them, each read once.

Not through Optuna: it hides one of two trials that have one number, and stops at the first value
that its column cannot hold, which SQLite keeps all the same.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.trial import TrialState
from sqlalchemy import ColumnElement, Connection, Enum, Row, String, Table, select, type_coerce

from cvfp_opt.store.database.damage import parsed
from cvfp_opt.store.database.tables import (
    INTERMEDIATE,
    LEASES,
    PARAMS,
    STUDIES,
    SYSTEM_ATTRIBUTES,
    TRIALS,
    USER_ATTRIBUTES,
    VALUES,
)
from cvfp_opt.store.queue.leases import FORMER_LEASE, Lease, is_former_lease
from cvfp_opt.store.record.identity import IDENTITY_KEY
from cvfp_opt.store.record.links import Source, source_name
from cvfp_opt.store.record.mirrors import SOURCE_TRIAL
from cvfp_opt.store.record.records import ATTRIBUTES, CONFIRMS, FORMAT, MIRROR_OF, StudyRecord

DIRECTIONS: Table = models.StudyDirectionModel.__table__
STUDY_ATTRIBUTES: Table = models.StudyUserAttributeModel.__table__
STUDY_SYSTEM_ATTRIBUTES: Table = models.StudySystemAttributeModel.__table__

# Of a trial's attributes those that are looked at; another program's may be of any size.
_READ = (*(key for key in ATTRIBUTES if key != "seconds"), SOURCE_TRIAL)

# What stands beside NULL where SQL has no number; SQLite has NULL for NaN itself.
_SPECIAL = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan, "FINITE": math.nan}


@dataclass(kw_only=True)
class TrialRow:
    """A trial.

    Attributes:
        trial_id, number, state, started: Optuna's.
        values: by objective.
        intermediate: by step.
        params: by name, in Optuna's internal representation.
        user_attrs: those that this program writes.
        system_attrs: all.
        unreadable: what of it cannot be read: attributes that are no JSON, values that are none.
    """

    trial_id: int
    number: int
    state: TrialState
    started: datetime | None
    values: dict[int, float] = field(default_factory=dict)
    intermediate: dict[int, float] = field(default_factory=dict)
    params: dict[str, float] = field(default_factory=dict)
    user_attrs: dict[str, Any] = field(default_factory=dict)
    system_attrs: dict[str, Any] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)

    @property
    def ours(self) -> bool:
        """Whether this program ran it: others, too, may add trials to a study of ours."""
        claimed = IDENTITY_KEY in self.system_attrs or FORMER_LEASE in self.system_attrs
        return claimed or bool(self.table("environment"))

    @property
    def former_lease(self) -> dict[str, Any] | None:
        """Who runs it, as record format 1 has it; None if nobody does by that."""
        value = self.system_attrs.get(FORMER_LEASE)
        return dict(value) if is_former_lease(value) else None

    def table(self, key: str) -> dict[str, Any]:
        """A user attribute that is a table; empty where it is none."""
        value = self.user_attrs.get(key)
        return value if isinstance(value, dict) else {}

    def tables(self, key: str) -> list[dict[str, Any]]:
        """A user attribute that is a list of tables; empty where it is none."""
        value = self.user_attrs.get(key)
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            return []
        return value


@dataclass(frozen=True, kw_only=True)
class StudyRows:
    """A study, or a mirror of one.

    Attributes:
        study_id, name: Optuna's.
        directions: how many objectives it has.
        attributes: its user attributes; None for one that is no JSON.
        system_attrs: its system attributes, likewise.
        unreadable: what of it cannot be read.
        record: what was fixed at creation; None where there is none that can be read.
        trials: by number.
        leases: of its trials, by trial id.
    """

    study_id: int
    name: str
    directions: int
    attributes: Mapping[str, Any]
    system_attrs: Mapping[str, Any]
    record: StudyRecord | None
    trials: tuple[TrialRow, ...] = ()
    leases: Mapping[int, Lease] = field(default_factory=dict)
    unreadable: tuple[str, ...] = ()

    @property
    def mirror_of(self) -> str | None:
        """The name of the study that it is a mirror of; None for a study."""
        return source_name(self.attributes, MIRROR_OF)

    @property
    def confirms(self) -> str | None:
        """The name of the study whose confirmation it is; None for any other study."""
        return source_name(self.attributes, CONFIRMS)

    @property
    def source(self) -> Source:
        """Itself, as what others may belong to."""
        return Source.of(self.name, self.attributes)

    @property
    def running(self) -> list[TrialRow]:
        """Its trials that somebody runs, or has left."""
        return [trial for trial in self.trials if trial.state is TrialState.RUNNING]

    @property
    def complete(self) -> list[TrialRow]:
        """Its trials that came to their end."""
        return [trial for trial in self.trials if trial.state is TrialState.COMPLETE]


def newer_format(value: Any) -> int | None:
    """The format of a study's record that is newer than what can be read; None if it is not."""
    form = value.get("format") if isinstance(value, dict) else None
    return form if isinstance(form, int) and form > FORMAT else None


def read_studies(connection: Connection) -> list[StudyRows]:
    """All studies and mirrors without their trials, in order of creation."""
    directions: dict[int, list[str]] = defaultdict(list)
    raw = type_coerce(DIRECTIONS.c.direction, String)
    for study_id, direction in connection.execute(select(DIRECTIONS.c.study_id, raw)):
        directions[study_id].append(direction)
    broken: dict[int, list[str]] = defaultdict(list)
    user = _study_attributes(connection, STUDY_ATTRIBUTES, broken)
    system = _study_attributes(connection, STUDY_SYSTEM_ATTRIBUTES, broken)
    rows = select(STUDIES.c.study_id, STUDIES.c.study_name).order_by(STUDIES.c.study_id)
    return [
        StudyRows(
            study_id=row.study_id,
            name=str(row.study_name),
            directions=len(directions[row.study_id]),
            attributes=user[row.study_id],
            system_attrs=system[row.study_id],
            record=StudyRecord.look(user[row.study_id])[0],
            unreadable=(
                *([] if _are_directions(directions[row.study_id]) else ["its objectives"]),
                *broken[row.study_id],
            ),
        )
        for row in connection.execute(rows)
    ]


def _are_directions(names: Sequence[Any]) -> bool:
    return bool(names) and set(names) <= set(StudyDirection.__members__)


def _study_attributes(
    connection: Connection, table: Table, broken: dict[int, list[str]]
) -> dict[int, dict[str, Any]]:
    """By study id; what is no JSON is noted as ``broken``."""
    found: dict[int, dict[str, Any]] = defaultdict(dict)
    columns = table.c
    for row in connection.execute(select(columns.study_id, columns.key, columns.value_json)):
        value = found[row.study_id][str(row.key)] = parsed(row.value_json)
        if value is None and row.value_json != "null":
            broken[row.study_id].append(f"attribute {row.key}")
    return found


def read_trials(connection: Connection, study_id: int) -> tuple[TrialRow, ...]:
    """All trials of a study, by number."""
    columns = TRIALS.c
    rows = connection.execute(
        select(
            columns.trial_id,
            columns.number,
            type_coerce(columns.state, String),  # what is none is to be told, not raised
            type_coerce(columns.datetime_start, String),
        )
        .where(TRIALS.c.study_id == study_id)
        .order_by(TRIALS.c.number, TRIALS.c.trial_id)
    )
    trials = {row.trial_id: _trial(*row) for row in rows}
    wanted = USER_ATTRIBUTES.c.key.in_(_READ)
    for row in _of_trials(connection, study_id, USER_ATTRIBUTES, "key", "value_json", only=wanted):
        _keep(trials[row.trial_id], "user_attrs", row)
    for row in _of_trials(connection, study_id, SYSTEM_ATTRIBUTES, "key", "value_json"):
        _keep(trials[row.trial_id], "system_attrs", row)
    for row in _of_trials(connection, study_id, PARAMS, "param_name", "param_value"):
        _keep_figure(trials[row.trial_id], "params", row.param_name, row.param_value, "")
    for row in _of_trials(connection, study_id, VALUES, "objective", "value", "value_type"):
        trial_id, name, value, special = tuple(row)
        _keep_figure(trials[trial_id], "values", name, value, special)
    names = ("step", "intermediate_value", "intermediate_value_type")
    for row in _of_trials(connection, study_id, INTERMEDIATE, *names):
        trial_id, name, value, special = tuple(row)
        _keep_figure(trials[trial_id], "intermediate", name, value, special)
    return tuple(trials.values())


def read_study_leases(connection: Connection, study_id: int) -> dict[int, Lease]:
    """The leases of a study's trials, by trial id."""
    rows = connection.execute(
        select(LEASES)
        .join(TRIALS, TRIALS.c.trial_id == LEASES.c.trial_id)
        .where(TRIALS.c.study_id == study_id)
    )
    return {row["trial_id"]: Lease.of_row(row) for row in map(dict, rows.mappings())}


def _of_trials(
    connection: Connection,
    study_id: int,
    table: Table,
    *columns: str,
    only: "sqlalchemy.ColumnElement[bool] | None" = None,
) -> Iterator[Row[Any]]:
    """A study's rows of one table: ``trial_id`` and some columns."""
    found: Sequence[ColumnElement[Any]] = [
        table.c.trial_id,
        *(
            type_coerce(column, String) if isinstance(column.type, Enum) else column
            for column in (table.c[name] for name in columns)
        ),
    ]
    query = (
        select(*found)
        .join(TRIALS, TRIALS.c.trial_id == table.c.trial_id)
        .where(TRIALS.c.study_id == study_id)
    )
    for some in connection.execute(query if only is None else query.where(only)).partitions(1000):
        yield from some


def _trial(trial_id: int, number: Any, state: Any, started: Any) -> TrialRow:
    unreadable = []
    if state not in TrialState.__members__:
        unreadable.append(f"its state, {state!r},")
    return TrialRow(
        trial_id=trial_id,
        number=number if type(number) is int else -1,  # which no trial has, either
        state=TrialState.__members__.get(state, TrialState.FAIL),
        started=_moment(started),
        unreadable=unreadable,
    )


def _moment(value: Any) -> datetime | None:
    """SQLite keeps it as text."""
    if isinstance(value, datetime):
        return value
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None


def _keep(trial: TrialRow, kind: str, row: Row[Any]) -> None:
    value = getattr(trial, kind)[str(row.key)] = parsed(row.value_json)
    if value is None and row.value_json != "null":
        trial.unreadable.append(f"attribute {row.key}")


def _keep_figure(trial: TrialRow, kind: str, name: Any, value: Any, special: Any) -> None:
    """A number, or one for which SQL has none."""
    figure = value if value is not None else _SPECIAL.get(special)
    named = isinstance(name, str if kind == "params" else int)
    if named and isinstance(figure, int | float):
        getattr(trial, kind)[name] = float(figure)
    else:
        trial.unreadable.append(f"{kind.removesuffix('s')} {name!r}, which is {figure!r},")
