"""Studies and trials as their rows have them, each read once.

Not through Optuna: it hides one of two trials that have one number, and stops at an attribute that
is no JSON.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy import Column, Connection, Row, Table, select

from cvfp_opt.store.births import BIRTH
from cvfp_opt.store.leases import FORMER_LEASE, LEASES, Lease
from cvfp_opt.store.links import Source, source_name
from cvfp_opt.store.mirrors import SOURCE_TRIAL
from cvfp_opt.store.records import ATTRIBUTES, CONFIRMS, FORMAT, MIRROR_OF, STUDY, StudyRecord
from cvfp_opt.store.rows import (
    INTERMEDIATE,
    PARAMS,
    STUDIES,
    SYSTEM_ATTRIBUTES,
    TRIALS,
    USER_ATTRIBUTES,
    VALUES,
)

DIRECTIONS: Table = models.StudyDirectionModel.__table__
STUDY_ATTRIBUTES: Table = models.StudyUserAttributeModel.__table__
STUDY_SYSTEM_ATTRIBUTES: Table = models.StudySystemAttributeModel.__table__

# Of a trial's attributes those that are looked at; another program's may be of any size.
_READ = (*(key for key in ATTRIBUTES if key != "seconds"), SOURCE_TRIAL)

_FORMER_KEYS = {"worker", "host", "pid", "started"}


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
        unreadable: keys of attributes that are no JSON.
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
        claimed = BIRTH in self.system_attrs or FORMER_LEASE in self.system_attrs
        return claimed or bool(self.table("environment"))

    @property
    def former_lease(self) -> dict[str, Any] | None:
        """Who runs it, as record format 1 has it; None if nobody does by that."""
        value = self.system_attrs.get(FORMER_LEASE)
        return value if isinstance(value, dict) and value.keys() >= _FORMER_KEYS else None

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
        attributes: its user attributes; one that is no JSON is its text.
        system_keys: of its system attributes.
        record: what was fixed at creation; None where there is none that can be read.
        trials: by number.
        leases: of its trials, by trial id.
    """

    study_id: int
    name: str
    directions: int
    attributes: Mapping[str, Any]
    system_keys: tuple[str, ...]
    record: StudyRecord | None
    trials: tuple[TrialRow, ...] = ()
    leases: Mapping[int, Lease] = field(default_factory=dict)

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
    counts = select(DIRECTIONS.c.study_id, sqlalchemy.func.count()).group_by(DIRECTIONS.c.study_id)
    directions = {row[0]: row[1] for row in connection.execute(counts)}
    attributes: dict[int, dict[str, Any]] = defaultdict(dict)
    columns = STUDY_ATTRIBUTES.c
    for found in connection.execute(select(columns.study_id, columns.key, columns.value_json)):
        attributes[found.study_id][found.key] = _parsed(found.value_json, found.value_json)
    system_keys: dict[int, list[str]] = defaultdict(list)
    columns = STUDY_SYSTEM_ATTRIBUTES.c
    for named in connection.execute(select(columns.study_id, columns.key)):
        system_keys[named.study_id].append(named.key)
    rows = select(STUDIES.c.study_id, STUDIES.c.study_name).order_by(STUDIES.c.study_id)
    return [
        StudyRows(
            study_id=row.study_id,
            name=row.study_name,
            directions=directions.get(row.study_id, 0),
            attributes=attributes[row.study_id],
            system_keys=tuple(system_keys[row.study_id]),
            record=_record(attributes[row.study_id].get(STUDY)),
        )
        for row in connection.execute(rows)
    ]


def read_trials(connection: Connection, study_id: int) -> tuple[TrialRow, ...]:
    """All trials of a study, by number."""
    rows = connection.execute(
        select(TRIALS.c.trial_id, TRIALS.c.number, TRIALS.c.state, TRIALS.c.datetime_start)
        .where(TRIALS.c.study_id == study_id)
        .order_by(TRIALS.c.number, TRIALS.c.trial_id)
    )
    trials = {
        row.trial_id: TrialRow(
            trial_id=row.trial_id, number=row.number, state=row.state, started=row.datetime_start
        )
        for row in rows
    }
    wanted = USER_ATTRIBUTES.c.key.in_(_READ)
    for row in _of_trials(connection, study_id, USER_ATTRIBUTES, "key", "value_json", only=wanted):
        _keep(trials[row.trial_id], "user_attrs", row)
    for row in _of_trials(connection, study_id, SYSTEM_ATTRIBUTES, "key", "value_json"):
        _keep(trials[row.trial_id], "system_attrs", row)
    for row in _of_trials(connection, study_id, PARAMS, "param_name", "param_value"):
        trials[row.trial_id].params[row.param_name] = row.param_value
    decode = models.TrialValueModel.stored_repr_to_value
    for row in _of_trials(connection, study_id, VALUES, "objective", "value", "value_type"):
        trials[row.trial_id].values[row.objective] = decode(row.value, row.value_type)
    names = ("step", "intermediate_value", "intermediate_value_type")
    of_step = models.TrialIntermediateValueModel.stored_repr_to_intermediate_value
    for row in _of_trials(connection, study_id, INTERMEDIATE, *names):
        value = of_step(row.intermediate_value, row.intermediate_value_type)
        trials[row.trial_id].intermediate[row.step] = value
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
    found: Sequence[Column[Any]] = [table.c.trial_id, *(table.c[name] for name in columns)]
    query = (
        select(*found)
        .join(TRIALS, TRIALS.c.trial_id == table.c.trial_id)
        .where(TRIALS.c.study_id == study_id)
    )
    for some in connection.execute(query if only is None else query.where(only)).partitions(1000):
        yield from some


def _keep(trial: TrialRow, kind: str, row: Row[Any]) -> None:
    try:
        getattr(trial, kind)[row.key] = json.loads(row.value_json)
    except (ValueError, RecursionError):
        trial.unreadable.append(row.key)


def _parsed(text: str, default: Any) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return default


def _record(value: Any) -> StudyRecord | None:
    if not isinstance(value, dict) or newer_format(value):
        return None
    try:
        record = StudyRecord(**value)
        sections = record.definition
        whole = all(isinstance(sections[name], dict) for name in ("objective", "space", "search"))
        return record if whole and record.seed >= 0 else None
    except (TypeError, KeyError, ValueError):
        return None
