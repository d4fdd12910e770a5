"""Real databases for tests: a file, and servers on this machine where there are any.

Making all tables takes longer than most tests. A file is a copy of one that was made once; a
server's database is emptied after a test and serves the next one of this process.
"""

import os
import tempfile
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from cvfp_opt.store.database import sqlite
from cvfp_opt.store.database.location import Location, resolve_location
from cvfp_opt.store.database.schema import ALEMBIC_VERSION
from cvfp_opt.store.database.storage import open_for_search

# Where to make databases; a test that finds no server there is skipped.
SERVERS = {
    "postgresql": os.environ.get(
        "TEST_POSTGRESQL", "postgresql+psycopg://root@127.0.0.1:5432/postgres"
    ),
    "mysql": os.environ.get("TEST_MYSQL", "mysql+pymysql://root@127.0.0.1:3306/test"),
}
KINDS = ("sqlite", *SERVERS)

# What Optuna writes when it makes its tables.
_VERSIONS = (ALEMBIC_VERSION, "version_info")
_SCHEMA = {
    "postgresql": "SELECT table_name, column_name, data_type FROM information_schema.columns "
    "WHERE table_schema = 'public'",
    "mysql": "SELECT table_name, column_name, column_type, engine, table_collation "
    "FROM information_schema.columns JOIN information_schema.tables "
    "USING (table_schema, table_name) WHERE table_schema = DATABASE()",
}

# kind -> names of databases with all tables and no rows, for the next tests
_ready: dict[str, list[str]] = defaultdict(list)
# kind -> what ``_schema`` gives for such a database
_as_made: dict[str, object] = {}


@cache
def _missing(kind: str) -> str:
    """Give the reason why there is no such server; "" if there is."""
    try:
        with _connect(kind):
            return ""
    except (SQLAlchemyError, ModuleNotFoundError) as error:
        return str(getattr(error, "orig", None) or error).splitlines()[0]


@contextmanager
def _connect(kind: str, database: str | None = None) -> Iterator[sqlalchemy.Connection]:
    url = sqlalchemy.make_url(SERVERS[kind])
    engine = sqlalchemy.create_engine(
        url if database is None else url.set(database=database),
        poolclass=NullPool,
        connect_args={"connect_timeout": 5},
        isolation_level="AUTOCOMMIT",
    )
    with engine.connect() as connection:
        yield connection


def _location(kind: str, name: str) -> Location:
    url = sqlalchemy.make_url(SERVERS[kind]).set(database=name)
    return resolve_location(url.render_as_string(hide_password=False))


def _create(kind: str) -> str:
    """Make a database without tables on a server; give its name."""
    if missing := _missing(kind):
        pytest.skip(f"no {kind} server: {missing}")
    name = f"cvfp_{uuid.uuid4().hex[:12]}"
    with _connect(kind) as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    return name


def _drop(kind: str, name: str) -> None:
    force = " WITH (FORCE)" if kind == "postgresql" else ""
    with _connect(kind) as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name}{force}")


@contextmanager
def empty_database(kind: str) -> Iterator[Location]:
    """Give a database without tables, to be dropped in the end; of a file, only its name."""
    if kind == "sqlite":
        yield resolve_location("x.db")
        return
    name = _create(kind)
    try:
        yield _location(kind, name)
    finally:
        _drop(kind, name)


@contextmanager
def fresh_database(kind: str) -> Iterator[Location]:
    """Give a database with all tables and no studies."""
    if kind == "sqlite":
        location = resolve_location("x.db")
        copy_tables(location)
        yield location
        return
    name = _ready[kind].pop() if _ready[kind] else _create_with_tables(kind)
    cleared = False
    try:
        yield _location(kind, name)
        cleared = _clear(kind, name)
    finally:
        if cleared:
            _ready[kind].append(name)
        else:
            _drop(kind, name)


def drop_databases() -> None:
    """Drop what waits for further tests."""
    for kind, names in _ready.items():
        while names:
            _drop(kind, names.pop())


@cache
def _file_with_tables() -> bytes:
    """Make a file of a study database without studies; give its content."""
    with tempfile.TemporaryDirectory() as folder:
        location = Location.of_file(Path(folder) / "x.db")
        sqlite.create(location)
        with open_for_search(location):
            pass
        return location.file.read_bytes()


def copy_tables(location: Location) -> None:
    """Make a file with all tables where there is none, at once and for the user's eyes only.

    What ``sqlite.create`` and the first opening do, without their many writes.
    """
    path = location.file
    if path.exists():
        return
    content = _file_with_tables()
    try:
        if location.default:
            path.parent.mkdir(mode=0o700, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        with open(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(content)
        with suppress(FileExistsError):  # another thread was quicker
            os.link(temporary, path)
        temporary.unlink()
    except OSError:
        sqlite.create(location)  # says what is wrong


def _create_with_tables(kind: str) -> str:
    name = _create(kind)
    with open_for_search(_location(kind, name)):
        pass
    with _connect(kind, name) as connection:
        _as_made[kind] = _schema(kind, connection)
    return name


def _schema(kind: str, connection: sqlalchemy.Connection) -> object:
    """Give all columns, and what Optuna noted of its version."""
    queries = [_SCHEMA[kind], *(f"SELECT * FROM {table}" for table in _VERSIONS)]
    return [sorted(map(tuple, connection.exec_driver_sql(query))) for query in queries]


def _clear(kind: str, name: str) -> bool:
    """Delete all rows and let numbers begin at 1 again; False if a test has changed the tables."""
    with _connect(kind, name) as connection:
        if kind == "postgresql":  # what a test's processes left open would be waited for
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        if _schema(kind, connection) != _as_made[kind]:
            return False
        tables = {row[0] for row in _as_made[kind][0]}.difference(_VERSIONS)
        if kind == "postgresql":
            connection.exec_driver_sql(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY")
            return True
        connection.exec_driver_sql("SET foreign_key_checks = 0, lock_wait_timeout = 20")
        for table in tables:
            if connection.exec_driver_sql(f"SELECT EXISTS (SELECT * FROM {table})").scalar():
                connection.exec_driver_sql(f"TRUNCATE {table}")
        return True
