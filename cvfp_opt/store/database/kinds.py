"""The kinds of databases: what differs between them, by name."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, Engine

from cvfp_opt.store.database import server, sqlite
from cvfp_opt.store.database.file_watch import FileWatch
from cvfp_opt.store.database.location import Location


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of database.

    Attributes:
        check_readable: raises StorageError for what is no study database; changes nothing.
        check_writable: likewise, for what studies cannot be written to.
        has_database: whether anything is there; not if it is only half made.
        create: what comes before the tables.
        engine_arguments: for SQLAlchemy's ``create_engine``.
        set_up: of an engine that will write.
        watch: of an engine that will write to tables that are there, see ``FileWatch``; None where
            what is open cannot be moved.
        writing_url: to write, to what is there: it makes no file.
        reading_url: to look only.
        lock: the lock for what must happen once, on all machines that see the database:
            (location, seconds to wait for it).
        now: SQL for epoch seconds, by the clock that all workers share.
        between: SQL for the seconds from one moment to another, of columns with times.
        one_host: whether all workers are on this machine.
    """

    check_readable: Callable[[Location], None]
    check_writable: Callable[[Location], None]
    has_database: Callable[[Location], bool]
    create: Callable[[Location], None]
    engine_arguments: Callable[[Location], dict[str, Any]]
    set_up: Callable[[Engine], None]
    watch: Callable[[Location, Engine], FileWatch | None]
    writing_url: Callable[[Location], str]
    reading_url: Callable[[Location], str]
    lock: Callable[[Location, float], AbstractContextManager[Any]]
    now: Callable[[], ColumnElement[float]]
    between: Callable[[Column[Any], Column[Any]], ColumnElement[float]]
    one_host: bool


_SERVER: dict[str, Any] = {
    "check_readable": server.check_readable,
    "check_writable": server.check_writable,
    "has_database": server.has_database,
    "create": server.create,
    "engine_arguments": server.engine_arguments,
    "set_up": server.set_up,
    "watch": lambda location, engine: None,
    "writing_url": lambda location: location.url,
    "reading_url": lambda location: location.url,  # who may write is the server's business
    "one_host": False,
}

KINDS: Mapping[str, Kind] = {
    "sqlite": Kind(
        check_readable=sqlite.check_readable,
        check_writable=sqlite.check_writable,
        has_database=sqlite.has_database,
        create=sqlite.create,
        engine_arguments=sqlite.engine_arguments,
        set_up=sqlite.set_up,
        watch=lambda location, engine: FileWatch(location.file, engine),
        writing_url=sqlite.writing_url,
        reading_url=sqlite.reading_url,
        lock=sqlite.lock,
        now=sqlite.now,
        between=sqlite.between,
        one_host=True,
    ),
    "postgresql": Kind(
        lock=server.lock_postgresql,
        now=server.now_postgresql,
        between=server.between_postgresql,
        **_SERVER,
    ),
    "mysql": Kind(
        lock=server.lock_mysql, now=server.now_mysql, between=server.between_mysql, **_SERVER
    ),
}


def kind_of(location: Location) -> Kind:
    """Look up the functions for a location's kind of database."""
    return KINDS[location.kind]
