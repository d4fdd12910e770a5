"""Looking at a database as of one moment, without leaving a trace."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy
from sqlalchemy import Connection

from cvfp_opt.disk import open_file
from cvfp_opt.errors import StorageError
from cvfp_opt.store.database.kinds import kind_of
from cvfp_opt.store.database.location import Location

_HEADER = b"SQLite format 3\0"
# Bytes 18 and 19 of an SQLite file in WAL mode.
_IN_WAL_MODE = b"\x02\x02"


@contextmanager
def snapshot(location: Location, *, still: bool) -> Iterator[Connection]:
    """A transaction in which all that is read is of the same moment.

    Args:
        location: of a database that exists.
        still: nobody writes to its file, see ``stillness``.
    """
    kind = kind_of(location)
    url = sqlalchemy.make_url(kind.reading_url(location))
    if still:
        url = url.update_query_dict({"immutable": "1"})
    engine = sqlalchemy.create_engine(url, **kind.engine_arguments(location))
    try:
        with engine.connect() as connection:
            if location.path is None:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            else:  # the driver begins a transaction for writes only
                connection.exec_driver_sql("BEGIN")
            yield connection
    finally:
        engine.dispose()


def stillness(location: Location) -> tuple[int, int] | None:
    """State of an SQLite file that may be read as if nobody wrote to it; None for all others.

    A reader of a file in WAL mode makes two files beside it and leaves them there, unless it is
    told that nobody writes. Nobody does as long as there is no WAL and the state stays the same.
    """
    path = location.path
    if path is None or Path(f"{path}-wal").exists():
        return None
    with path.open("rb") as file:
        if file.read(20)[18:] != _IN_WAL_MODE:
            return None
    found = path.stat()
    return found.st_mtime_ns, found.st_size


def is_sqlite(path: Path) -> bool:
    """Whether there is a file that begins as SQLite's do, and can be read."""
    try:
        with open_file(path, error=StorageError) as file:
            return file.read(len(_HEADER)) == _HEADER
    except (StorageError, OSError):
        return False
