"""Storage engines of MariaDB and MySQL: tables without transactions are refused.

MyISAM, Aria and MEMORY take a transaction's statements one by one and cannot take them back: a
kill or a refusal leaves half a study, and two workers may be given one trial.
"""

from collections.abc import Mapping

import sqlalchemy
from sqlalchemy import Connection
from sqlalchemy.engine import URL

from cvfp_opt.errors import StorageError
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.schema import ALEMBIC_VERSION
from cvfp_opt.store.database.tables import LEASES

# Whatever the server makes tables of by default, those that we make shall be of this.
_INNODB = "SET default_storage_engine=InnoDB"
_TABLES = sqlalchemy.text(
    "SELECT t.table_name, t.engine FROM information_schema.tables t "
    "JOIN information_schema.engines e ON e.engine = t.engine "
    "WHERE t.table_schema = DATABASE() AND t.table_type = 'BASE TABLE' "
    "AND COALESCE(e.transactions, 'NO') <> 'YES'"
)
_DEFAULT = sqlalchemy.text(
    "SELECT e.engine FROM information_schema.engines e WHERE e.engine = "
    "@@default_storage_engine AND COALESCE(e.transactions, 'NO') <> 'YES'"
)


def connect_arguments(url: URL) -> dict[str, str]:
    """Give what the driver is given, so that tables have transactions; a user's own words stay."""
    return {} if "init_command" in url.query else {"init_command": _INNODB}


def unsafe_tables(connection: Connection) -> dict[str, str]:
    """The engines of the study tables that have no transactions, by the table's name."""
    if connection.dialect.name != "mysql":
        return {}
    found = {row[0]: row[1] for row in connection.execute(_TABLES)}
    return {name: found[name] for name in sorted(_ours() & found.keys())}


def check_engines(location: Location, connection: Connection) -> None:
    """Refuse tables without transactions, and a server that would make some.

    Raises:
        StorageError: says what to type.
    """
    if unsafe := unsafe_tables(connection):
        raise StorageError(f"{location.where}: {engine_fault(unsafe)}; {engine_cure(unsafe)}")
    missing = _ours() - set(sqlalchemy.inspect(connection).get_table_names())
    default = connection.scalar(_DEFAULT) if missing else None
    if default is not None:
        raise StorageError(
            f"{location.where}: tables with transactions are required, this server makes tables "
            f"of {default}, which has none; take init_command out of the URL, or let it say "
            f"`{_INNODB}`"
        )


def engine_fault(unsafe: Mapping[str, str]) -> str:
    """Say what is required, and what is there instead."""
    engines = ", ".join(sorted(set(unsafe.values())))
    return f"tables with transactions are required, got {engines} for {', '.join(unsafe)}"


def engine_cure(unsafe: Mapping[str, str]) -> str:
    """Say what to type on the server."""
    statements = " ".join(f"ALTER TABLE {name} ENGINE=InnoDB;" for name in unsafe)
    return f"stop all workers, keep a copy, and type on the server: {statements}"


def _ours() -> set[str]:
    from optuna.storages._rdb.models import BaseModel

    return {*BaseModel.metadata.tables, ALEMBIC_VERSION, LEASES.name}
