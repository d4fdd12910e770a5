"""PostgreSQL and MariaDB or MySQL: what is refused before a study is touched, and locks."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from zlib import crc32

import sqlalchemy
from sqlalchemy import ColumnElement, Engine, func
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from cvfp_opt.errors import StorageError
from cvfp_opt.store.database.engines import check_engines, connect_arguments
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.tables import ALEMBIC_VERSION, are_started, check_tables

CONNECT_SECONDS = 10
# kind -> (module of its driver, the extra that brings it)
_DRIVERS = {"postgresql": ("psycopg", "postgresql"), "mysql": ("pymysql", "mysql")}


def check_readable(location: Location) -> None:
    """Refuse a server or database that is not there, and what is no study database.

    Raises:
        StorageError: no driver, no connection, no studies, another program's tables, or of a
            newer Optuna.
    """
    tables, version = _look(location)
    if not tables:
        raise StorageError(
            f"{location.where}: the database is empty; type `cvfp-opt run --storage "
            f"{location.shown}` to fill it"
        )
    check_tables(location, tables, version)


def has_database(location: Location) -> bool:
    """Whether the database has tables, and all. Raises StorageError if it cannot be reached."""
    tables, version = _look(location)
    return bool(tables) and not are_started(tables, version)


def check_writable(location: Location) -> None:
    """As ``check_readable``, but an empty database will do; one without transactions will not."""
    if has_database(location):
        check_readable(location)
    if location.kind == "mysql":
        with _connection(location) as connection:
            check_engines(location, connection)


def create(location: Location) -> None:
    """Databases of a server are made by whoever runs it."""


def engine_arguments(location: Location) -> dict[str, Any]:
    """What SQLAlchemy's ``create_engine`` is given: a dead connection is noticed and replaced."""
    arguments: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS}
    if location.kind == "postgresql":  # or a server that vanished would be waited for for hours
        arguments |= {"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3}
        arguments |= {"tcp_user_timeout": 30_000, "application_name": "cvfp-opt"}
    else:
        arguments |= {"read_timeout": 90, "write_timeout": 90}
        arguments |= connect_arguments(sqlalchemy.make_url(location.url))
    # MariaDB's default level locks the gap in which a row would stand: writers of different
    # trials then wait for each other in circles
    level = "READ COMMITTED"
    pool = {"pool_pre_ping": True, "pool_recycle": 1800, "isolation_level": level}
    return {"connect_args": arguments, **pool}


def set_up(engine: Engine) -> None:
    """Nothing to set."""


def reading_url(location: Location) -> str:
    """The same: who may write is the server's business."""
    return location.url


def now_postgresql() -> ColumnElement[float]:
    """Epoch seconds by the server's clock, at the statement's moment."""
    return sqlalchemy.cast(func.extract("epoch", func.clock_timestamp()), sqlalchemy.Double)


def now_mysql() -> ColumnElement[float]:
    """Epoch seconds by the server's clock, at the statement's moment."""
    return sqlalchemy.literal_column("unix_timestamp(sysdate(6)) + 0e0", sqlalchemy.Double)


@contextmanager
def lock_postgresql(location: Location, seconds: float) -> Iterator[None]:
    """An advisory lock of the database; it ends with its connection, so with its process."""
    with _connection(location) as connection:
        connection.exec_driver_sql(f"SET lock_timeout = {round(1000 * seconds)}")
        try:
            connection.execute(sqlalchemy.select(func.pg_advisory_lock(_lock_number(location))))
        except SQLAlchemyError as error:
            if "lock timeout" not in str(error):
                raise
            raise _kept(location, seconds) from None
        yield


@contextmanager
def lock_mysql(location: Location, seconds: float) -> Iterator[None]:
    """A named lock of the server; it ends with its connection, so with its process."""
    name = f"cvfp-opt {_lock_number(location)}"
    with _connection(location) as connection:
        won = connection.scalar(sqlalchemy.select(func.get_lock(name, round(seconds))))
        if won != 1:
            raise _kept(location, seconds)
        yield


def _lock_number(location: Location) -> int:
    return crc32(f"cvfp-opt {sqlalchemy.make_url(location.url).database}".encode())


def _kept(location: Location, seconds: float) -> StorageError:
    return StorageError(
        f"{location.where}: another worker kept the database's lock for {seconds:.0f} s; "
        "see what it does, then type the command again"
    )


@contextmanager
def _connection(location: Location) -> Iterator[sqlalchemy.Connection]:
    arguments = engine_arguments(location)["connect_args"]
    engine = sqlalchemy.create_engine(location.url, poolclass=NullPool, connect_args=arguments)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield connection


def _look(location: Location) -> tuple[set[str], str | None]:
    """Names of the tables, and the version of Optuna's schema."""
    module, extra = _DRIVERS[location.kind]
    if importlib.util.find_spec(module) is None:
        raise StorageError(
            f"{location.where}: the driver {module} is required; "
            f"type `pip install 'cvfp-opt[{extra}]'`"
        )
    try:
        with _connection(location) as connection:
            tables = set(sqlalchemy.inspect(connection).get_table_names())
            version = None
            if ALEMBIC_VERSION in tables:
                query = f"SELECT version_num FROM {ALEMBIC_VERSION}"
                row = connection.exec_driver_sql(query).first()
                version = row[0] if row else None
    except SQLAlchemyError as error:
        raise StorageError(_refusal(location, error)) from None
    return tables, version


def _refusal(location: Location, error: SQLAlchemyError) -> str:
    text = " ".join(str(getattr(error, "orig", None) or error).split())
    name = sqlalchemy.make_url(location.url).database
    if "does not exist" in text and "database" in text:
        return (
            f"{location.where}: there is no database {name!r}; "
            f"type `createdb {name}` on the server"
        )
    if "Unknown database" in text:
        return (
            f"{location.where}: there is no database {name!r}; "
            f'type `mariadb -e "CREATE DATABASE {name}"` on the server'
        )
    return f"{location.where}: the server cannot be used: {text}"
