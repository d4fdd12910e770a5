"""A look at a database as of one moment, which leaves no trace."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy
from sqlalchemy import Connection

from cvfp_opt.store.database.file_watch import MAGIC, head_of
from cvfp_opt.store.database.kinds import kind_of
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.reading import one_moment

# Bytes 18 and 19 of an SQLite file in WAL mode.
_IN_WAL_MODE = b"\x02\x02"


@contextmanager
def snapshot(location: Location, *, still: bool) -> Iterator[Connection]:
    """Open a database to read it as of one moment.

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
        with one_moment(engine) as connection:
            yield connection
    finally:
        engine.dispose()


def stillness(location: Location) -> tuple[int, int] | None:
    """Get the state of an SQLite file that may be read as if nobody wrote; None for all others.

    A reader of a file in WAL mode makes two files beside it and leaves them there, unless it is
    told that nobody writes. Nobody does as long as there is no WAL and the state stays the same.
    """
    path = location.path
    if path is None or Path(f"{path}-wal").exists():
        return None
    if head_of(path, 20)[18:] != _IN_WAL_MODE:
        return None
    found = path.stat()
    return found.st_mtime_ns, found.st_size


def is_sqlite(path: Path) -> bool:
    """Check for a file that can be read and begins as SQLite's do."""
    try:
        return path.is_file() and head_of(path, len(MAGIC)) == MAGIC
    except OSError:
        return False
