"""PostgreSQL, MariaDB and MySQL: checks before a study is touched, and locks."""

import importlib.util
import random
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any
from zlib import crc32

import sqlalchemy
from sqlalchemy import Column, ColumnElement, Engine, func
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from cvfp_opt.errors import StorageError
from cvfp_opt.escaping import positional, quoted
from cvfp_opt.store.database.error_codes import refusal_code
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.mysql_engines import check_engines, connect_arguments
from cvfp_opt.store.database.retry import driver_words
from cvfp_opt.store.database.schema import (
    ALEMBIC_VERSION,
    Tables,
    are_started,
    check_tables,
    study_tables,
)

CONNECT_SECONDS = 10
IDLE_SECONDS = 60
"""A server ends a transaction that was left alone for so long: its worker sleeps, or is lost."""

# Pause between two attempts to take a lock.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.5
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
            f"{location.where}: the database is empty; type `cvfp-opt run{location.option}` to "
            "fill it"
        )
    check_tables(location, tables, version)


def has_database(location: Location) -> bool:
    """Check if the database has all tables. Raises StorageError if it cannot be reached."""
    tables, version = _look(location)
    return bool(tables) and not are_started(tables, version)


def check_writable(location: Location) -> None:
    """Refuse what ``check_readable`` refuses, and no transactions; an empty database will do."""
    if has_database(location):
        check_readable(location)
    if location.kind == "mysql":
        with _connection(location) as connection:
            check_engines(location, connection)


def create(location: Location) -> None:
    """Do nothing: whoever runs a server makes its databases."""


def engine_arguments(location: Location) -> dict[str, Any]:
    """Make SQLAlchemy's arguments, by which a dead connection is noticed and replaced.

    Nothing here belongs to a session: behind a pooler the next transaction may meet another one.
    """
    arguments: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS}
    if location.kind == "postgresql":  # or a server that vanished would be waited for for hours
        arguments |= {"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3}
        arguments |= {"tcp_user_timeout": 30_000, "application_name": "cvfp-opt"}
    else:
        arguments |= {"read_timeout": 90, "write_timeout": 90}
        arguments |= connect_arguments(sqlalchemy.make_url(location.url))
    # what the URL itself says counts
    given = sqlalchemy.make_url(location.url).query
    arguments = {key: value for key, value in arguments.items() if key not in given}
    if location.kind == "postgresql":  # prepared statements stay with a session
        arguments["prepare_threshold"] = None
    # MariaDB's default level locks the gap in which a row would stand: writers of different
    # trials then wait for each other in circles
    level = "READ COMMITTED"
    pool = {"pool_pre_ping": True, "pool_recycle": 1800, "isolation_level": level}
    return {"connect_args": arguments, **pool}


def set_up(engine: Engine) -> None:
    """Let no worker that sleeps, or whose host is lost, keep its locks for ever."""
    if engine.dialect.name == "postgresql":
        # with each transaction: behind a pooler the next one may be another session's
        limit = f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'"
        sqlalchemy.event.listen(engine, "begin", lambda begun: begun.exec_driver_sql(limit))
    else:
        sqlalchemy.event.listen(engine, "connect", _limit_idle_session)
    engine.dispose()


def _limit_idle_session(connection: Any, record: object) -> None:
    # MySQL knows no limit for a transaction alone; the pool replaces a connection that was ended
    with closing(connection.cursor()) as cursor:
        cursor.execute(f"SET SESSION wait_timeout = {IDLE_SECONDS}")


def now_postgresql() -> ColumnElement[float]:
    """Make SQL for epoch seconds by the server's clock, at the statement's moment."""
    return sqlalchemy.cast(func.extract("epoch", func.clock_timestamp()), sqlalchemy.Double)


def now_mysql() -> ColumnElement[float]:
    """Make SQL for epoch seconds by the server's clock, when the statement began.

    Counted in UTC: of local time, an hour comes twice a year.
    """
    since = "timestampdiff(microsecond, '1970-01-01', utc_timestamp(6))"
    return sqlalchemy.literal_column(f"{since} / 1e6", sqlalchemy.Double)


def between_postgresql(start: Column[Any], end: Column[Any]) -> ColumnElement[float]:
    """Make SQL for the seconds between two times."""
    return sqlalchemy.cast(func.extract("epoch", end - start), sqlalchemy.Double)


def between_mysql(start: Column[Any], end: Column[Any]) -> ColumnElement[float]:
    """Make SQL for the seconds between two times."""
    microseconds = func.timestampdiff(sqlalchemy.text("microsecond"), start, end)
    return sqlalchemy.type_coerce(microseconds / 1e6, sqlalchemy.Double)


@contextmanager
def lock_postgresql(location: Location, seconds: float) -> Iterator[None]:
    """Take an advisory lock of the database; it ends with its transaction, so with its process.

    One who waits for it asks anew each time: behind a pooler with few connections, one who
    waited within the server would keep the connection that the lock's holder needs.
    """
    ask = sqlalchemy.select(func.pg_try_advisory_xact_lock(_lock_number(location)))
    end = time.monotonic() + seconds
    pause = _FIRST_PAUSE
    while True:
        with _connection(location) as connection:
            if connection.scalar(ask):
                yield
                return
        if time.monotonic() > end:
            raise _kept(location, seconds)
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(2 * pause, _LONGEST_PAUSE)


@contextmanager
def lock_mysql(location: Location, seconds: float) -> Iterator[None]:
    """Take a named lock of the server; it ends with its connection, so with its process."""
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
    """Open a connection of its own, in one transaction, of which nothing is kept."""
    arguments = engine_arguments(location)["connect_args"]
    engine = sqlalchemy.create_engine(location.url, poolclass=NullPool, connect_args=arguments)
    connection = engine.connect()
    try:
        yield connection
    finally:
        with suppress(SQLAlchemyError):  # it may be broken: what was done within is done
            connection.rollback()
        connection.close()


def _look(location: Location) -> tuple[Tables, str | None]:
    """Read the names of the tables, and the version of Optuna's schema."""
    module, extra = _DRIVERS[location.kind]
    if importlib.util.find_spec(module) is None:
        raise StorageError(
            f"{location.where}: the driver {module} is required; "
            f"type `pip install 'cvfp-opt[{extra}]'`"
        )
    try:
        with _connection(location) as connection:
            inspector = sqlalchemy.inspect(connection)
            tables = dict.fromkeys(inspector.get_table_names(), frozenset[str]())
            version = None
            if ALEMBIC_VERSION in tables:
                query = f"SELECT version_num FROM {ALEMBIC_VERSION}"
                row = connection.exec_driver_sql(query).first()
                version = row[0] if row else None
            if version is None:
                for name in tables.keys() & study_tables().keys():
                    columns = inspector.get_columns(name)
                    tables[name] = frozenset(column["name"] for column in columns)
    except SQLAlchemyError as error:
        _refuse_unknown_host(location)
        raise StorageError(_refusal(location, error)) from error
    except (TypeError, ValueError, RuntimeError) as error:  # drivers about what the URL asks for
        _refuse_unknown_host(location)
        raise StorageError(
            f"{location.where}: the driver {module} cannot connect by this URL: "
            f"{location.redacted(error)}"
        ) from None
    return tables, version


def _refuse_unknown_host(location: Location) -> None:
    """Refuse at once, when a database is opened, a host's name that nobody knows."""
    url = sqlalchemy.make_url(location.url)
    if not url.host or "," in url.host or url.query.get("host"):
        return
    try:
        socket.getaddrinfo(url.host, None)
    except socket.gaierror as error:
        if error.errno == socket.EAI_NONAME:
            raise StorageError(
                f"{location.where}: there is no host {url.host!r}; name another --storage"
            ) from None
    except UnicodeError:
        raise StorageError(f"{location.where}: {url.host!r} cannot be a host's name") from None


def _refusal(location: Location, error: SQLAlchemyError) -> str:
    text = location.redacted(driver_words(error))
    name = sqlalchemy.make_url(location.url).database
    code = refusal_code(getattr(error, "orig", None))
    if code == "3D000":
        return (
            f"{location.where}: there is no database {name!r}; "
            f"type `createdb {positional(name)}` on the server"
        )
    if code == "1049":
        plain = str(name).isidentifier()
        statement = f"CREATE DATABASE {name if plain else f'`{name}`'}"
        return (
            f"{location.where}: there is no database {name!r}; "
            f"type `mariadb -e {quoted(statement)}` on the server"
        )
    return f"{location.where}: the server cannot be used: {text}"
