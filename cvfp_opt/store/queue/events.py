"""Events in the database: written once for each cause, and read in their order.

Whoever writes one holds a lock of the whole database until its transaction ends: so events become
visible in the order of their ids, and a reader who asks for what came after the last id that it
saw misses none.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

import optuna
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from cvfp_opt.escaping import excerpt
from cvfp_opt.store.database.optuna_private import study_id_of
from cvfp_opt.store.database.storage import Store, has_table
from cvfp_opt.store.database.tables import DELIVERIES, EVENTS, VERSIONS
from cvfp_opt.store.record.event import Event, EventKind, Subject
from cvfp_opt.store.record.records import StudyRecord

# Events are removed after so long, by whoever writes another one.
KEPT_SECONDS = 30 * 24 * 3600.0
# What somebody who only looks finds is told if it happened since then: the event of what happened
# earlier may have been written, and removed.
LATELY_SECONDS = KEPT_SECONDS / 2
LONGEST_LIST = 1000
_LONGEST_TEXT = 500

# A database has one such row, and nobody else writes to it.
_LOCK = update(VERSIONS).values(library_version=VERSIONS.c.library_version)
_KNOWN = select(EVENTS.c.id).where(EVENTS.c.uuid == bindparam("of"))
_OLDEST = select(EVENTS.c.time).order_by(EVENTS.c.id).limit(1)


def subject_of(study: optuna.Study) -> Subject:
    """Name a study as the subject of events."""
    record, _ = StudyRecord.look(study.user_attrs)
    return Subject(
        study_id=study_id_of(study),
        name=study.study_name,
        identity=record.identity if record else "",
    )


def lock_events(connection: Connection) -> None:
    """Keep all others from writing events until the transaction ends.

    Whoever locks a study, too, does that before. Then no two wait for each other: what is written
    after this lock are rows of that study, and those who write such rows without its lock (the
    workers of its trials) write no events in the same transaction.
    """
    connection.execute(_LOCK)


def is_told(connection: Connection, uuid: str) -> bool:
    """Check whether an event has been written."""
    return connection.scalar(_KNOWN, {"of": uuid}) is not None


def write_event(
    connection: Connection,
    store: Store,
    subject: Subject,
    kind: EventKind,
    which: object,
    text: str,
    details: Mapping[str, Any] | None = None,
) -> bool:
    """Write an event within a transaction, see ``lock_events``; False if it was there.

    Args:
        connection: of the transaction.
        store: the database.
        subject: the study.
        kind: what happened.
        which: the cause, see ``Subject.cause``.
        text: one sentence.
        details: figures, plain JSON.
    """
    uuid = subject.cause(kind, which)
    lock_events(connection)
    if is_told(connection, uuid):
        return False
    _remove_old(connection, store)
    # what a trial raised may be of any length; a hook reads an event at once
    body = {"text": excerpt(text, _LONGEST_TEXT), "details": _finite(dict(details or {}))}
    connection.execute(
        insert(EVENTS).values(
            uuid=uuid,
            kind=kind.value,
            time=store.now(),
            study_id=subject.study_id,
            study=subject.name,
            identity=subject.identity,
            body=json.dumps(body),
        )
    )
    return True


def _remove_old(connection: Connection, store: Store) -> None:
    oldest = connection.scalar(_OLDEST)
    end = connection.scalars(select(store.now())).one() - KEPT_SECONDS
    if oldest is None or oldest >= end:
        return
    old = select(EVENTS.c.id).where(EVENTS.c.time < end)
    connection.execute(delete(DELIVERIES).where(DELIVERIES.c.event_id.in_(old)))
    connection.execute(delete(EVENTS).where(EVENTS.c.time < end))


def read_events(
    store: Store,
    study: optuna.Study | None = None,
    *,
    after: int = 0,
    limit: int = LONGEST_LIST,
    newest: bool = False,
) -> list[Event]:
    """Read events in their order.

    Args:
        store: where they are.
        study: whose; None for those of all studies.
        after: id of the last event that is known already.
        limit: how many at most.
        newest: whether the last ones are wanted, where there are more; else it is the first ones.
    """
    if not has_table(store, EVENTS):  # no version that knows it has written here
        return []
    order = EVENTS.c.id.desc() if newest else EVENTS.c.id
    wanted = select(EVENTS).where(EVENTS.c.id > after).order_by(order).limit(limit)
    if study is not None:
        subject = subject_of(study)
        wanted = wanted.where(
            EVENTS.c.study_id == subject.study_id, EVENTS.c.identity == subject.identity
        )
    with store.engine.connect() as connection:
        found = [event_of(dict(row)) for row in connection.execute(wanted).mappings()]
    return sorted(found, key=lambda event: event.id)


def event_of(row: Mapping[str, Any]) -> Event:
    """Make an event of its row; what somebody else wrote in the place of a body is left out."""
    try:
        body = json.loads(row["body"])
        text, details = body["text"], body["details"]
        if not isinstance(text, str) or not isinstance(details, dict):
            raise ValueError
    except (ValueError, TypeError, KeyError, RecursionError):
        text, details = row["kind"], {}
    return Event(
        id=row["id"],
        uuid=row["uuid"],
        kind=row["kind"],
        time=row["time"],
        study=row["study"],
        text=text,
        details=details,
        identity=row["identity"],
    )


def _finite(details: dict[str, Any]) -> dict[str, Any]:
    """Leave out figures for which JSON has no number."""
    return {
        key: value
        for key, value in details.items()
        if not isinstance(value, float) or math.isfinite(value)
    }
