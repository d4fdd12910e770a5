"""The writer of studies' rows: a study with all that belongs to it in one transaction.

Optuna's own way makes a study first and sets each attribute in a transaction of its own: until
then, and for ever after a kill, nobody could tell whose it is.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from optuna.study import StudyDirection
from sqlalchemy import Connection, Row, Table, delete, insert, select

from cvfp_opt.store.database.rows import as_texts, attribute_rows
from cvfp_opt.store.database.tables import (
    DIRECTIONS,
    LEASES,
    STUDIES,
    STUDY_PARTS,
    STUDY_SYSTEM_ATTRIBUTES,
    STUDY_USER_ATTRIBUTES,
    TRIAL_PARTS,
    TRIALS,
)

# Study system attribute in which Optuna keeps what ``Study.set_metric_names`` is given.
METRIC_NAMES = "study:metric_names"
# Characters that every database's column of names can hold.
MAX_NAME = 512
# Rows sent to the database at once.
_BATCH = 5000


def find_row(connection: Connection, name: str) -> Row[Any, Any] | None:
    """Find the row (``study_id``, ``study_name``) that a name stands for in this database.

    Its name may be another: MariaDB and MySQL take "Quick", "quick" and "quick " for one name.
    """
    if not is_text(name):
        return None
    columns = STUDIES.c.study_id, STUDIES.c.study_name
    return connection.execute(select(*columns).where(STUDIES.c.study_name == name)).first()


def is_text(name: str) -> bool:
    """Check whether any database can keep a name: no half of a surrogate pair, and no NUL."""
    return "\0" not in name and not any("\ud800" <= one <= "\udfff" for one in name)


def insert_study(
    connection: Connection,
    name: str,
    directions: Sequence[StudyDirection],
    user_attrs: Mapping[str, str],
    system_attrs: Mapping[str, str],
) -> int:
    """Write a study with its attributes, which are JSON texts (``as_texts``); return its id."""
    # the first statement is a write: only then does SQLite keep all others out
    key = connection.execute(insert(STUDIES).values(study_name=name)).inserted_primary_key
    assert key is not None
    study_id = int(key[0])
    rows = [
        {"study_id": study_id, "objective": objective, "direction": direction}
        for objective, direction in enumerate(directions)
    ]
    insert_rows(connection, DIRECTIONS, rows)
    whose = {"study_id": study_id}
    for table, attrs in (
        (STUDY_USER_ATTRIBUTES, user_attrs),
        (STUDY_SYSTEM_ATTRIBUTES, system_attrs),
    ):
        insert_rows(connection, table, (whose | row for row in attribute_rows(attrs)))
    return study_id


def insert_rows(connection: Connection, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    """Add rows to a table, some thousands at once."""
    iterator = iter(rows)
    while batch := list(islice(iterator, _BATCH)):
        connection.execute(insert(table), batch)


def delete_studies(connection: Connection, study_ids: Sequence[int]) -> None:
    """Delete studies with all that is theirs. Call within a transaction that locks them."""
    trial_ids = select(TRIALS.c.trial_id).where(TRIALS.c.study_id.in_(study_ids))
    connection.execute(delete(LEASES).where(LEASES.c.trial_id.in_(trial_ids)))
    delete_trials(connection, study_ids)
    for table in STUDY_PARTS:
        connection.execute(delete(table).where(table.c.study_id.in_(study_ids)))


def delete_trials(connection: Connection, study_ids: Sequence[int]) -> None:
    """Delete all trials of studies; their leases stay."""
    trial_ids = select(TRIALS.c.trial_id).where(TRIALS.c.study_id.in_(study_ids))
    for table in TRIAL_PARTS:
        connection.execute(delete(table).where(table.c.trial_id.in_(trial_ids)))
    connection.execute(delete(TRIALS).where(TRIALS.c.study_id.in_(study_ids)))


def put_attributes(
    connection: Connection, table: Table, study_id: int, values: Mapping[str, Any]
) -> None:
    """Write attributes of a study in the place of those with the same keys."""
    known = table.c.study_id == study_id, table.c.key.in_(list(values))
    connection.execute(delete(table).where(*known))
    rows = attribute_rows(as_texts(values))
    insert_rows(connection, table, ({"study_id": study_id, **row} for row in rows))


def is_empty(connection: Connection, study_id: int) -> bool:
    """Check whether a study has neither trials nor user attributes: its making was cut short."""
    return not any(
        connection.execute(select(table.c.study_id).where(table.c.study_id == study_id)).first()
        for table in (TRIALS, STUDY_USER_ATTRIBUTES)
    )
