"""The entry of a study in the queue, read and written under the study's lock."""

from dataclasses import dataclass, replace

from optuna.trial import TrialState
from sqlalchemy import Connection, bindparam, select

from cvfp_opt.store.database.damage import parsed
from cvfp_opt.store.database.study_rows import put_attributes
from cvfp_opt.store.database.tables import STUDY_USER_ATTRIBUTES, TRIALS
from cvfp_opt.store.record.queue_entry import QUEUE, QueueEntry

_ENTRY = select(STUDY_USER_ATTRIBUTES.c.value_json).where(
    STUDY_USER_ATTRIBUTES.c.study_id == bindparam("of"), STUDY_USER_ATTRIBUTES.c.key == QUEUE
)


def read_entry(connection: Connection, study_id: int) -> QueueEntry:
    """Read what is wanted of a study; an open entry where nobody has said."""
    found = connection.scalar(_ENTRY, {"of": study_id})
    return QueueEntry.parse(None if found is None else parsed(found))


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
    """What a study's trials have used.

    Attributes:
        failed: trials that have failed.
        seconds: that ended trials have taken together.
    """

    failed: int
    seconds: float


_TIMES = select(TRIALS.c.state, TRIALS.c.datetime_start, TRIALS.c.datetime_complete).where(
    TRIALS.c.study_id == bindparam("of"),
    TRIALS.c.state.not_in((TrialState.WAITING, TrialState.RUNNING)),
)


def read_usage(connection: Connection, study_id: int) -> Usage:
    """Count what a study's trials have used of its budgets."""
    failed, seconds = 0, 0.0
    for state, start, complete in connection.execute(_TIMES, {"of": study_id}):
        failed += state is TrialState.FAIL
        if start is not None and complete is not None:
            seconds += max(0.0, (complete - start).total_seconds())
    return Usage(failed=failed, seconds=seconds)
