"""Real databases for tests: a file, and servers on this machine where there are any."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import pytest
import sqlalchemy
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from cvfp_opt.store.database.location import Location, resolve_location

# Where to make databases; a test that finds no server there is skipped.
SERVERS = {
    "postgresql": os.environ.get(
        "TEST_POSTGRESQL", "postgresql+psycopg://root@127.0.0.1:5432/postgres"
    ),
    "mysql": os.environ.get("TEST_MYSQL", "mysql+pymysql://root@127.0.0.1:3306/test"),
}
KINDS = ("sqlite", *SERVERS)


@cache
def _missing(kind: str) -> str:
    """Why there is no such server; "" if there is."""
    try:
        with _connect(kind):
            return ""
    except (SQLAlchemyError, ModuleNotFoundError) as error:
        return str(getattr(error, "orig", None) or error).splitlines()[0]


@contextmanager
def _connect(kind: str) -> Iterator[sqlalchemy.Connection]:
    arguments = {"connect_timeout": 5}
    engine = sqlalchemy.create_engine(
        SERVERS[kind], poolclass=NullPool, connect_args=arguments, isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        yield connection


@contextmanager
def fresh_database(kind: str) -> Iterator[Location]:
    """An empty database of one's own, dropped in the end."""
    if kind == "sqlite":
        yield resolve_location("x.db")
        return
    if missing := _missing(kind):
        pytest.skip(f"no {kind} server: {missing}")
    name = f"cvfp_{uuid.uuid4().hex[:12]}"
    with _connect(kind) as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        url = sqlalchemy.make_url(SERVERS[kind]).set(database=name)
        yield resolve_location(url.render_as_string(hide_password=False))
    finally:
        force = " WITH (FORCE)" if kind == "postgresql" else ""
        with _connect(kind) as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name}{force}")
