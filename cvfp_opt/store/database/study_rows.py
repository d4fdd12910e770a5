"""Rows of studies: found by name as the server compares names, and written with all that they are.

Optuna's own way makes a study first and says what it is later, in one transaction for each
attribute: until then, and for ever after a kill, nobody could tell whose it is.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from optuna.storages._rdb import models
from optuna.study import StudyDirection
from sqlalchemy import Connection, Row, Table, delete, insert, select

from cvfp_opt.store.database.damage import all_parsed
from cvfp_opt.store.database.tables import (
    DIRECTIONS,
    LEASES,
    STUDIES,
    STUDY_SYSTEM_ATTRIBUTES,
    STUDY_USER_ATTRIBUTES,
    TRIALS,
)

# Where Optuna keeps what ``Study.set_metric_names`` is given.
METRIC_NAMES = "study:metric_names"
# What every database's column of names holds.
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
    """Check whether any database can keep it: no half of a surrogate pair, and no NUL."""
    return "\0" not in name and not any("\ud800" <= one <= "\udfff" for one in name)


def insert_study(
    connection: Connection,
    name: str,
    directions: Sequence[StudyDirection],
    user_attrs: Mapping[str, str],
    system_attrs: Mapping[str, str],
) -> int:
    """Write a study and what it is; its id. Attributes are JSON texts, see ``as_texts``."""
    # the first statement is a write: only then does SQLite keep all others out
    key = connection.execute(insert(STUDIES).values(study_name=name)).inserted_primary_key
    assert key is not None
    study_id = int(key[0])
    rows = [
        {"study_id": study_id, "objective": objective, "direction": direction}
        for objective, direction in enumerate(directions)
    ]
    insert_rows(connection, DIRECTIONS, rows)
    for table, attrs in (
        (STUDY_USER_ATTRIBUTES, user_attrs),
        (STUDY_SYSTEM_ATTRIBUTES, system_attrs),
    ):
        insert_rows(connection, table, _attribute_rows(study_id, attrs))
    return study_id


def insert_rows(connection: Connection, table: Table, rows: Iterable[dict[str, Any]]) -> None:
    """Add rows to a table, some thousands at once."""
    iterator = iter(rows)
    while batch := list(islice(iterator, _BATCH)):
        connection.execute(insert(table), batch)


def delete_rows(connection: Connection, study_ids: Sequence[int]) -> None:
    """Delete studies with all that is theirs. Call within a transaction that locks them."""
    trial_ids = select(TRIALS.c.trial_id).where(TRIALS.c.study_id.in_(study_ids))
    connection.execute(delete(LEASES).where(LEASES.c.trial_id.in_(trial_ids)))
    # children before parents; whatever tables this Optuna has
    tables = reversed(models.BaseModel.metadata.sorted_tables)
    of_studies = [table for table in tables if table.name != TRIALS.name]
    for table in [t for t in of_studies if "trial_id" in t.c]:
        connection.execute(delete(table).where(table.c.trial_id.in_(trial_ids)))
    for table in [TRIALS, *(t for t in of_studies if "study_id" in t.c)]:
        connection.execute(delete(table).where(table.c.study_id.in_(study_ids)))


def put_attributes(
    connection: Connection, table: Table, study_id: int, values: Mapping[str, Any]
) -> None:
    """Write attributes of a study in the place of what stood there."""
    known = table.c.study_id == study_id, table.c.key.in_(list(values))
    connection.execute(delete(table).where(*known))
    insert_rows(connection, table, _attribute_rows(study_id, as_texts(values)))


def attributes(connection: Connection, table: Table, study_id: int) -> dict[str, Any]:
    """Read a study's attributes; None for one that is no JSON."""
    columns = table.c.key, table.c.value_json
    rows = connection.execute(select(*columns).where(table.c.study_id == study_id))
    return all_parsed({row.key: row.value_json for row in rows})


def directions_of(connection: Connection, study_id: int) -> list[StudyDirection]:
    """Read a study's directions, by objective."""
    rows = connection.scalars(
        select(DIRECTIONS.c.direction)
        .where(DIRECTIONS.c.study_id == study_id)
        .order_by(DIRECTIONS.c.objective)
    )
    return list(rows)


def is_empty(connection: Connection, study_id: int) -> bool:
    """Check whether a study has neither trials nor user attributes: nobody has said what it is."""
    return not any(
        connection.execute(select(table.c.study_id).where(table.c.study_id == study_id)).first()
        for table in (TRIALS, STUDY_USER_ATTRIBUTES)
    )


def as_texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Write attributes as the database has them: JSON texts, by key."""
    return {key: json.dumps(value) for key, value in values.items()}


def _attribute_rows(study_id: int, attrs: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    return ({"study_id": study_id, "key": key, "value_json": text} for key, text in attrs.items())
