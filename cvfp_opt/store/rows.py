"""Rows of Optuna's tables, written within a transaction of ours.

Optuna's own methods take a transaction of some milliseconds for each attribute and each value,
and cannot be part of a larger one.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy import Connection, Table, delete, insert, select, update

from cvfp_opt.errors import StudyError

STUDIES: Table = models.StudyModel.__table__
TRIALS: Table = models.TrialModel.__table__
PARAMS: Table = models.TrialParamModel.__table__
VALUES: Table = models.TrialValueModel.__table__
INTERMEDIATE: Table = models.TrialIntermediateValueModel.__table__
USER_ATTRIBUTES: Table = models.TrialUserAttributeModel.__table__
SYSTEM_ATTRIBUTES: Table = models.TrialSystemAttributeModel.__table__


@dataclass(kw_only=True)
class Reported:
    """What a trial has to say and has not written yet; later values replace earlier ones.

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
        """It is written."""
        for kept in (self.params, self.intermediate, self.user_attrs, self.system_attrs):
            kept.clear()


def lock_study(connection: Connection, study_id: int) -> None:
    """Keep all others from adding or claiming trials of a study until the transaction ends.

    A write, and the first statement: SQLite knows no other lock, and gives it to nobody who has
    read before. Optuna locks the same row when it numbers a new trial.

    Raises:
        StudyError: somebody deleted the study.
    """
    same = {STUDIES.c.study_name: STUDIES.c.study_name}
    found = connection.execute(update(STUDIES).where(STUDIES.c.study_id == study_id).values(same))
    if found.rowcount == 0:
        raise StudyError("the study is not there any more: somebody has deleted it")


def insert_trial(
    connection: Connection,
    study_id: int,
    state: TrialState,
    started: datetime | None,
    completed: datetime | None = None,
) -> tuple[int, int]:
    """A new trial; its id and number. Call under ``lock_study``.

    Times are naive local ones, as FrozenTrial has them.
    """
    last = select(sqlalchemy.func.max(TRIALS.c.number)).where(TRIALS.c.study_id == study_id)
    found = connection.scalar(last)
    number = 0 if found is None else found + 1
    times = {"datetime_start": _stored(started), "datetime_complete": _stored(completed)}
    row = {"study_id": study_id, "number": number, "state": state, **times}
    key = connection.execute(insert(TRIALS).values(row)).inserted_primary_key
    assert key is not None
    return int(key[0]), number


def change_state(
    connection: Connection, trial_id: int, before: TrialState, after: TrialState
) -> bool:
    """Change it, if it is the one expected; start and end are noted."""
    times: dict[str, Any] = {}
    if after is TrialState.RUNNING:
        times["datetime_start"] = _stored(datetime.now())
    elif after is TrialState.WAITING:
        times["datetime_start"] = None
    else:
        times["datetime_complete"] = _stored(datetime.now())
    changed = connection.execute(
        update(TRIALS)
        .where(TRIALS.c.trial_id == trial_id, TRIALS.c.state == before)
        .values(state=after, **times)
    )
    return changed.rowcount == 1


def _stored(local: datetime | None) -> datetime | None:
    """As Optuna's columns have it: UTC, and no zone."""
    return None if local is None else local.astimezone(UTC).replace(tzinfo=None)


def write_reported(connection: Connection, trial_id: int, reported: Reported) -> None:
    """Write it, in the place of what stood there."""
    _put(connection, USER_ATTRIBUTES, trial_id, "key", _attributes(reported.user_attrs))
    _put(connection, SYSTEM_ATTRIBUTES, trial_id, "key", _attributes(reported.system_attrs))
    _put(connection, INTERMEDIATE, trial_id, "step", _intermediate(reported.intermediate))
    _put(connection, PARAMS, trial_id, "param_name", _params(reported.params))


def write_values(connection: Connection, trial_id: int, values: Sequence[float]) -> None:
    """The values of the objectives."""
    rows = []
    for objective, value in enumerate(values):
        stored, kind = models.TrialValueModel.value_to_stored_repr(value)
        rows.append({"objective": objective, "value": stored, "value_type": kind})
    _put(connection, VALUES, trial_id, "objective", rows)


def forget_attributes(connection: Connection, trial_id: int, keys: Sequence[str]) -> None:
    """Delete system attributes of a trial."""
    if keys:
        of_trial = SYSTEM_ATTRIBUTES.c.trial_id == trial_id
        named = SYSTEM_ATTRIBUTES.c.key.in_(keys)
        connection.execute(delete(SYSTEM_ATTRIBUTES).where(of_trial, named))


def clear_reported(connection: Connection, trial_id: int) -> None:
    """Take back all that a broken-off run said; parameters and system attributes stay."""
    for table in (INTERMEDIATE, USER_ATTRIBUTES, VALUES):
        connection.execute(delete(table).where(table.c.trial_id == trial_id))


def _put(
    connection: Connection, table: Table, trial_id: int, key: str, rows: Sequence[dict[str, Any]]
) -> None:
    """Rows of a trial, known by ``key``; one way for all databases."""
    if not rows:
        return
    keys = [row[key] for row in rows]
    connection.execute(delete(table).where(table.c.trial_id == trial_id, table.c[key].in_(keys)))
    connection.execute(insert(table), [{"trial_id": trial_id, **row} for row in rows])


def _attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value_json": json.dumps(value)} for key, value in values.items()]


def _intermediate(values: Mapping[int, float]) -> list[dict[str, Any]]:
    rows = []
    for step, value in values.items():
        stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
        rows.append({"step": step, "intermediate_value": stored, "intermediate_value_type": kind})
    return rows


def _params(
    values: Mapping[str, tuple[float, BaseDistribution]],
) -> list[dict[str, Any]]:
    return [
        {
            "param_name": name,
            "param_value": value,
            "distribution_json": distribution_to_json(distribution),
        }
        for name, (value, distribution) in values.items()
    ]
