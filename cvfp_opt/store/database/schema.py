"""Checks of a database's tables: whether they are Optuna's, and complete."""

from collections.abc import Mapping
from functools import cache

from sqlalchemy import Engine

from cvfp_opt.errors import StorageError
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.optuna_private import SCHEMA_VERSION, TABLES

ALEMBIC_VERSION = "alembic_version"
_OURS = {"studies", "trials"}

# The version of the tables that the installed Optuna writes. Optuna itself asks alembic, which
# takes half a second.
CURRENT = "v3.2.0.a"

Tables = Mapping[str, frozenset[str]]
"""The tables of a database by name, each with the names of its columns. The columns are looked at
only where no version of Optuna's schema is noted: else they may be left empty."""


def are_started(tables: Tables, version: str | None) -> bool:
    """Check for a new study database that is being made: the version comes last.

    Another process makes the rest at this moment, or died before it could. Other programs have
    tables called ``studies`` and ``trials`` too, but of other columns.
    """
    ours = study_tables()
    return version is None and all(ours.get(name) == tables[name] for name in tables)


@cache
def study_tables() -> Tables:
    """List the tables that Optuna makes, and the one in which it notes their version."""
    columns = {name: frozenset(table.columns.keys()) for name, table in TABLES.items()}
    return {**columns, ALEMBIC_VERSION: frozenset({"version_num"})}


def check_tables(location: Location, tables: Tables, version: str | None) -> None:
    """Refuse tables that are not those of a study database.

    Args:
        location: where they are.
        tables: without indices; there is at least one.
        version: of Optuna's schema; None if none is noted.

    Raises:
        StorageError: they are not all there yet, another program's, or of a newer Optuna.
    """
    if are_started(tables, version):
        raise StorageError(
            f"{location.where}: the study database is being made just now, or its making was cut "
            "short; type the command again in a moment, or `cvfp-opt run` to have it finished"
        )
    if version is None or not set(tables) >= _OURS:
        raise StorageError(
            f"{location.where}: a study database is required, this one belongs to another "
            f"program (its tables: {', '.join(sorted(tables)[:5])}); name another --storage"
        )
    if version != CURRENT and version not in optuna_schemas()[1]:
        raise StorageError(
            f"{location.where}: written by a newer Optuna (schema {version}) than the one "
            "installed here; type `pip install -U optuna cvfp-opt`"
        )


def is_current(engine: Engine) -> bool:
    """Check whether all that notes a version of the tables notes the current one."""
    with engine.connect() as connection:
        noted = [
            connection.exec_driver_sql(query).scalars().all()
            for query in (
                f"SELECT version_num FROM {ALEMBIC_VERSION}",
                "SELECT schema_version FROM version_info",
            )
        ]
    return noted == [[CURRENT], [SCHEMA_VERSION]]


@cache
def optuna_schemas() -> tuple[str, frozenset[str]]:
    """Ask the installed Optuna which version of the tables it needs, and which it knows."""
    from optuna.storages import RDBStorage

    storage = RDBStorage("sqlite:///:memory:")
    try:
        return storage.get_head_version(), frozenset(storage.get_all_versions())
    finally:
        storage.engine.dispose()
