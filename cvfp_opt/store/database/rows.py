"""The one writer of Optuna's tables, within a transaction of ours.

Optuna's own methods take a transaction of some milliseconds for each attribute and each value,
and cannot be part of a larger one. Statements are made once: that takes SQLAlchemy 80 us, and a
statement that it knows 12 us.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.trial import TrialState
from sqlalchemy import Connection, Table, bindparam, delete, func, insert, select, update

from cvfp_opt.errors import StudyError
from cvfp_opt.store.database.optuna_private import intermediate_columns, value_columns
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

# "of" is the id of the study or trial; SQLAlchemy takes the columns' names for new values.
_LOCK = (
    update(STUDIES)
    .where(STUDIES.c.study_id == bindparam("of"))
    .values(study_name=STUDIES.c.study_name)
)
# The newest trial need not have the largest number: the doctor fills gaps. With 10 000 trials this
# takes SQLite 0.8 ms.
_LARGEST = select(func.max(TRIALS.c.number)).where(TRIALS.c.study_id == bindparam("of"))
_NEW = insert(TRIALS)
_FORGET_LEASE = delete(LEASES).where(LEASES.c.trial_id == bindparam("of"))
_CHANGE = update(TRIALS).where(
    TRIALS.c.trial_id == bindparam("of"), TRIALS.c.state == bindparam("before")
)


class _Part:
    """One table of a trial's parts; a trial has one row for each ``key``."""

    def __init__(self, table: Table, key: str) -> None:
        self._key = key
        known = table.c.trial_id == bindparam("of")
        self._delete = delete(table).where(
            known, table.c[key].in_(bindparam("keys", expanding=True))
        )
        self._insert = insert(table)
        self._table = table
        self._upserts: dict[str, Any] = {}

    def _upsert(self, dialect: str) -> Any:
        """Make the one statement that inserts or updates; None if the dialect has none."""
        if dialect not in ("sqlite", "postgresql"):
            return None
        if dialect not in self._upserts:  # only now: an import of both takes 40 ms
            table, kept = (
                self._table,
                {"trial_id", self._key, *self._table.primary_key.columns.keys()},
            )
            new = import_module(f"sqlalchemy.dialects.{dialect}").insert(table)
            values = {c.name: new.excluded[c.name] for c in table.c if c.name not in kept}
            self._upserts[dialect] = new.on_conflict_do_update(
                index_elements=["trial_id", self._key], set_=values
            )
        return self._upserts[dialect]

    def put(self, connection: Connection, trial_id: int, rows: Sequence[dict[str, Any]]) -> None:
        """Write rows in the place of those with the same keys."""
        if not rows:
            return
        values = [{"trial_id": trial_id, **row} for row in rows]
        upsert = self._upsert(connection.dialect.name)
        if upsert is not None:  # half the pages that the other way writes
            connection.execute(upsert, values)
            return
        # MariaDB's locks the gap beside a row: writers of neighbouring trials could wait for each
        # other in a circle
        keys = [row[self._key] for row in rows]
        connection.execute(self._delete, {"of": trial_id, "keys": keys})
        connection.execute(self._insert, values)


_USER_ATTRIBUTES = _Part(USER_ATTRIBUTES, "key")
_SYSTEM_ATTRIBUTES = _Part(SYSTEM_ATTRIBUTES, "key")
_INTERMEDIATE = _Part(INTERMEDIATE, "step")
_PARAMS = _Part(PARAMS, "param_name")
_VALUES = _Part(VALUES, "objective")


@dataclass(kw_only=True)
class PendingWrites:
    """The values of a trial that are not written yet; later ones replace earlier ones.

    Attributes:
        params: by name, in Optuna's internal representation, with their distributions.
        intermediate: by step.
        user_attrs, system_attrs: plain JSON.
    """

    params: dict[str, tuple[float, BaseDistribution]] = field(default_factory=dict)
    intermediate: dict[int, float] = field(default_factory=dict)
    user_attrs: dict[str, Any] = field(default_factory=dict)
    system_attrs: dict[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.params or self.intermediate or self.user_attrs or self.system_attrs)

    def clear(self) -> None:
        """Empty it, after all of it was written."""
        for kept in (self.params, self.intermediate, self.user_attrs, self.system_attrs):
            kept.clear()


def lock_study(connection: Connection, study_id: int) -> None:
    """Keep all others from adding or claiming trials of a study until the transaction ends.

    A write, and the first statement: SQLite knows no other lock, and gives it to nobody who has
    read before. Optuna locks the same row when it numbers a new trial.

    Raises:
        StudyError: somebody deleted the study.
    """
    if connection.execute(_LOCK, {"of": study_id}).rowcount == 0:
        raise StudyError(DELETED)


DELETED = "the study is not there any more: somebody has deleted it"


def next_number(connection: Connection, study_id: int) -> int:
    """Find the number that a new trial of a study gets. Call under ``lock_study``."""
    found = connection.scalar(_LARGEST, {"of": study_id})
    return 0 if found is None else found + 1


def insert_trial(
    connection: Connection,
    study_id: int,
    state: TrialState,
    started: datetime | None,
    completed: datetime | None = None,
    *,
    number: int | None = None,
) -> tuple[int, int]:
    """Add a trial, and return its id and number. Call under ``lock_study``.

    Times are naive local ones, as FrozenTrial has them. ``number``: where it is known already;
    None for the next one.
    """
    number = next_number(connection, study_id) if number is None else number
    times = {"datetime_start": utc(started), "datetime_complete": utc(completed)}
    row = {"study_id": study_id, "number": number, "state": state, **times}
    key = connection.execute(_NEW, row).inserted_primary_key
    assert key is not None
    trial_id = int(key[0])
    # SQLite uses the id of a deleted trial again
    connection.execute(_FORGET_LEASE, {"of": trial_id})
    return trial_id, number


def change_state(
    connection: Connection, trial_id: int, before: TrialState, after: TrialState
) -> bool:
    """Change a trial's state, if it is the one expected, with its time of start or end."""
    times: dict[str, Any] = {}
    if after is TrialState.RUNNING:
        times["datetime_start"] = utc(datetime.now())
    elif after is TrialState.WAITING:
        times["datetime_start"] = None
    else:
        times["datetime_complete"] = utc(datetime.now())
    row = {"of": trial_id, "before": before, "state": after, **times}
    return connection.execute(_CHANGE, row).rowcount == 1


def utc(time: datetime | None) -> datetime | None:
    """Convert naive local time, as Optuna gives it, to naive UTC, as it is stored."""
    return time and time.astimezone(UTC).replace(tzinfo=None)


def local(time: datetime | None) -> datetime | None:
    """Convert naive UTC, as it is stored, to naive local time, as FrozenTrial has it.

    In the hour that comes twice when a clock is set back, its ``fold`` says which one it is.
    """
    return time and datetime.fromtimestamp(time.replace(tzinfo=UTC).timestamp())


def write_pending(connection: Connection, trial_id: int, pending: PendingWrites) -> None:
    """Write a trial's pending values in the place of the former ones."""
    _USER_ATTRIBUTES.put(connection, trial_id, attribute_rows(as_texts(pending.user_attrs)))
    _SYSTEM_ATTRIBUTES.put(connection, trial_id, attribute_rows(as_texts(pending.system_attrs)))
    _INTERMEDIATE.put(connection, trial_id, intermediate_rows(pending.intermediate))
    params = [
        param_row(name, value, distribution_to_json(distribution))
        for name, (value, distribution) in pending.params.items()
    ]
    _PARAMS.put(connection, trial_id, params)


def write_values(connection: Connection, trial_id: int, values: Sequence[float]) -> None:
    """Write a trial's values of the objectives."""
    _VALUES.put(connection, trial_id, value_rows(values))


def forget_attributes(connection: Connection, trial_id: int, keys: Sequence[str]) -> None:
    """Delete system attributes of a trial."""
    if keys:
        of_trial = SYSTEM_ATTRIBUTES.c.trial_id == trial_id
        named = SYSTEM_ATTRIBUTES.c.key.in_(keys)
        connection.execute(delete(SYSTEM_ATTRIBUTES).where(of_trial, named))


def clear_reported(connection: Connection, trial_id: int) -> None:
    """Delete all that an interrupted run reported; parameters and system attributes stay."""
    for table in (INTERMEDIATE, USER_ATTRIBUTES, VALUES):
        connection.execute(delete(table).where(table.c.trial_id == trial_id))


def as_texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Convert attributes to JSON texts, as the database has them, by key."""
    return {key: json.dumps(value) for key, value in values.items()}


def attribute_rows(texts: Mapping[str, str]) -> list[dict[str, Any]]:
    """Make the rows of attributes; they lack only the id of the study or trial."""
    return [{"key": key, "value_json": text} for key, text in texts.items()]


def intermediate_rows(values: Mapping[int, float]) -> list[dict[str, Any]]:
    """Make the rows of a trial's reported values, by step."""
    return [{"step": step, **intermediate_columns(value)} for step, value in values.items()]


def value_rows(values: Sequence[float]) -> list[dict[str, Any]]:
    """Make the rows of a trial's values of the objectives."""
    return [{"objective": place, **value_columns(value)} for place, value in enumerate(values)]


def param_row(name: str, value: float, distribution: str) -> dict[str, Any]:
    """Make the row of a parameter; its value is in Optuna's internal representation."""
    return {"param_name": name, "param_value": value, "distribution_json": distribution}
