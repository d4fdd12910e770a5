"""The entry of a study in the queue, read and written under the study's lock."""

from dataclasses import replace

from sqlalchemy import Connection, bindparam, select

from cvfp_opt.store.database.damage import parsed
from cvfp_opt.store.database.study_rows import put_attributes
from cvfp_opt.store.database.tables import STUDY_USER_ATTRIBUTES
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
