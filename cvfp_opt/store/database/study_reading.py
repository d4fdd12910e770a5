"""Studies without their trials, as Optuna's storage gives them.

Optuna's own way stops at the first attribute that is no JSON, of whichever study.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from sqlalchemy import Connection, Table, select

from cvfp_opt.store.database.damage import all_parsed, values_read
from cvfp_opt.store.database.tables import STUDIES

_DIRECTIONS: Table = models.StudyDirectionModel.__table__
_USER: Table = models.StudyUserAttributeModel.__table__
_SYSTEM: Table = models.StudySystemAttributeModel.__table__


def read_frozen_studies(connection: Connection) -> list[FrozenStudy]:
    """All studies, in the order in which they were created.

    Raises:
        Damaged: one has no objective, or none that there is.
    """
    with values_read("studies"):
        directions = _directions(connection)
        user, system = (_attributes(connection, table) for table in (_USER, _SYSTEM))
        rows = connection.execute(
            select(STUDIES.c.study_id, STUDIES.c.study_name).order_by(STUDIES.c.study_id)
        )
        return [_frozen(row, directions, user, system) for row in rows]


def _frozen(
    row: Any,
    directions: dict[int, list[StudyDirection]],
    user: dict[int, dict[str, Any]],
    system: dict[int, dict[str, Any]],
) -> FrozenStudy:
    study_id, name = row
    if not isinstance(name, str):
        raise TypeError(f"study {study_id} has the name {name!r}")
    return FrozenStudy(
        study_name=name,
        direction=None,
        directions=_checked(directions.get(study_id, ()), name),
        user_attrs=all_parsed(user[study_id]),
        system_attrs=all_parsed(system[study_id]),
        study_id=study_id,
    )


def read_directions(connection: Connection, study_id: int) -> list[StudyDirection]:
    """Of one study.

    Raises:
        KeyError: there is no such study.
        Damaged: it has none, or none that there is.
    """
    with values_read(f"study {study_id}"):
        found = _directions(connection, _DIRECTIONS.c.study_id == study_id)
    if not found:
        require(connection, study_id)
    with values_read(f"study {study_id}"):
        return _checked(found.get(study_id, ()), str(study_id))


def read_attributes(connection: Connection, study_id: int, *, system: bool) -> dict[str, Any]:
    """User or system attributes of one study; None for one that is no JSON.

    Raises:
        KeyError: there is no such study.
    """
    table = _SYSTEM if system else _USER
    with values_read(f"study {study_id}"):
        found = _attributes(connection, table, table.c.study_id == study_id)[study_id]
        attributes = all_parsed(found)
    if not attributes:
        require(connection, study_id)
    return attributes


def require(connection: Connection, study_id: int) -> None:
    """Raise what Optuna raises for a study that is not there, if it is not."""
    query = select(STUDIES.c.study_id).where(STUDIES.c.study_id == study_id)
    if connection.scalar(query) is None:
        raise KeyError(models.NOT_FOUND_MSG)


def _directions(connection: Connection, *where: Any) -> dict[int, list[StudyDirection]]:
    found: dict[int, list[StudyDirection]] = defaultdict(list)
    columns = _DIRECTIONS.c
    query = select(columns.study_id, columns.direction).where(*where).order_by(columns.objective)
    for study_id, direction in connection.execute(query):
        found[study_id].append(direction)
    return found


def _checked(directions: Sequence[Any], name: str) -> list[StudyDirection]:
    if not directions or not all(isinstance(one, StudyDirection) for one in directions):
        raise ValueError(f"study {name} has no objective")
    return list(directions)


def _attributes(
    connection: Connection, table: Table, *where: Any
) -> defaultdict[int, dict[str, Any]]:
    found: defaultdict[int, dict[str, Any]] = defaultdict(dict)
    query = select(table.c.study_id, table.c.key, table.c.value_json).where(*where)
    for study_id, key, text in connection.execute(query):
        if isinstance(key, str):
            found[study_id][key] = text
    return found
