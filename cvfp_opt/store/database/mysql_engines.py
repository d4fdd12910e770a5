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
from cvfp_opt.store.database.optuna_private import TABLES
from cvfp_opt.store.database.schema import ALEMBIC_VERSION
from cvfp_opt.store.database.tables import OWN

# The tables that we make are of this engine, whatever the server's default is.
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
    """Make the driver's arguments by which tables have transactions; a user's own words stay."""
    return {} if "init_command" in url.query else {"init_command": _INNODB}


def unsafe_tables(connection: Connection) -> dict[str, str]:
    """Find the study tables that have no transactions: their engines, by the table's name."""
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
    """Describe what is required of tables, and what there is instead."""
    engines = ", ".join(sorted(set(unsafe.values())))
    return f"tables with transactions are required, got {engines} for {', '.join(unsafe)}"


def engine_cure(unsafe: Mapping[str, str]) -> str:
    """Give the statements to type on the server."""
    statements = " ".join(f"ALTER TABLE {name} ENGINE=InnoDB;" for name in unsafe)
    return f"stop all workers, keep a copy, and type on the server: {statements}"


def _ours() -> set[str]:
    return {*TABLES, ALEMBIC_VERSION, *OWN.tables}
