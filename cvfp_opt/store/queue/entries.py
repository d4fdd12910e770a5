"""The entry of a study in the queue, read and written under the study's lock."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from optuna.trial import TrialState
from sqlalchemy import Connection, Select, bindparam, case, func, select

from cvfp_opt.store.database.damage import parsed
from cvfp_opt.store.database.kinds import Kind
from cvfp_opt.store.database.study_rows import put_attributes
from cvfp_opt.store.database.tables import STUDY_USER_ATTRIBUTES, TRIALS
from cvfp_opt.store.record.queue_entry import QUEUE, QueueEntry
from cvfp_opt.store.record.records import STUDY, StudyRecord

_ATTRIBUTE = select(STUDY_USER_ATTRIBUTES.c.value_json).where(
    STUDY_USER_ATTRIBUTES.c.study_id == bindparam("of"),
    STUDY_USER_ATTRIBUTES.c.key == bindparam("named"),
)


def read_entry(connection: Connection, study_id: int) -> QueueEntry:
    """Read what is wanted of a study; an open entry where nobody has said."""
    found = connection.scalar(_ATTRIBUTE, {"of": study_id, "named": QUEUE})
    return QueueEntry.parse(None if found is None else parsed(found))


def read_identity(connection: Connection, study_id: int) -> str:
    """Read the identity of a study; "" where it has no record."""
    found = connection.scalar(_ATTRIBUTE, {"of": study_id, "named": STUDY})
    record, _ = StudyRecord.look({} if found is None else {STUDY: parsed(found)})
    return "" if record is None else record.identity


def write_entry(
    connection: Connection, study_id: int, before: QueueEntry, entry: QueueEntry
) -> QueueEntry:
    """Write an entry in the place of the one before, if it differs; return it."""
    if entry == before:
        return before
    entry = replace(entry, version=before.version + 1)
    put_attributes(connection, STUDY_USER_ATTRIBUTES, study_id, {QUEUE: entry.to_dict()})
    return entry


@dataclass(frozen=True, kw_only=True)
class Usage:
    """The part of its budgets that a study's trials have used.

    Attributes:
        failed: trials that have failed.
        seconds: that ended trials have taken together.
    """

    failed: int
    seconds: float


@cache
def _used(kind: Kind) -> Select[int, Any]:
    seconds = kind.between(TRIALS.c.datetime_start, TRIALS.c.datetime_complete)
    return select(
        func.count(case((TRIALS.c.state == TrialState.FAIL, 1))),
        func.sum(case((seconds > 0.0, seconds), else_=0.0)),
    ).where(
        TRIALS.c.study_id == bindparam("of"),
        TRIALS.c.state.not_in((TrialState.WAITING, TrialState.RUNNING)),
    )


def read_usage(connection: Connection, kind: Kind, study_id: int) -> Usage:
    """Count the failed trials of a study, and the seconds that its ended trials have taken."""
    failed, seconds = connection.execute(_used(kind), {"of": study_id}).one()
    return Usage(failed=failed, seconds=float(seconds or 0.0))
