"""SQLite files: checks before one is touched, and how one is opened."""

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import psutil
import sqlalchemy
from filelock import FileLock, Timeout
from sqlalchemy import Column, ColumnElement, Engine

from cvfp_opt.disk import is_folder, what_it_is
from cvfp_opt.errors import StorageError
from cvfp_opt.escaping import positional, quoted
from cvfp_opt.store.database.file_watch import MAGIC, head_of
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.schema import (
    ALEMBIC_VERSION,
    Tables,
    are_started,
    check_tables,
    study_tables,
)

_HEADER_BYTES = 100
BUSY_SECONDS = 60

# Network file systems: their locks do not reach other hosts, and WAL needs shared memory.
NETWORK_FILE_SYSTEMS = frozenset(
    {"9p", "afpfs", "afs", "beegfs", "ceph", "cifs", "davfs", "glusterfs", "gpfs", "lustre", "nfs"}
    | {"nfs4", "orangefs", "pvfs2", "smb2", "smb3", "smbfs", "webdav"}
    | {"fuse.davfs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs"}
)


def check_readable(location: Location) -> None:
    """Refuse what is no study database, without creating or changing anything.

    Raises:
        StorageError: missing, no SQLite file, another program's, or of a newer Optuna.
    """
    path = location.file
    if not _is_there(path):
        raise StorageError(
            f"{path}: there is no study database; "
            "type `cvfp-opt run` to start one, or name another with --storage"
        )
    _check_sqlite(path)
    with _ReadOnly(path) as connection:
        tables, version = _look(connection)
    if not tables:
        raise StorageError(f"{path}: the database is empty; type `cvfp-opt run` to fill it")
    check_tables(location, tables, version)


def has_database(location: Location) -> bool:
    """Check if an SQLite file has all tables. Raises StorageError if it is damaged."""
    if not _is_there(location.file):
        return False
    _check_sqlite(location.file)
    with _ReadOnly(location.file) as connection:
        tables, version = _look(connection)
    return bool(tables) and not are_started(tables, version)


def check_writable(location: Location) -> None:
    """Refuse a database that can't be written or, if it does not exist, can't be created.

    Raises:
        StorageError: as ``check_readable`` for an existing file; read-only file or folder;
            missing folder (but for the default, whose folder is made); a network file system.
    """
    path, folder = location.file, location.file.parent
    if _is_there(path):
        if has_database(location):
            check_readable(location)
        if not _has_write_bit(path):
            raise StorageError(
                f"{path}: the database is read-only; type `chmod u+w {positional(path)}`, "
                "or copy it and name the copy with --storage"
            )
    elif not is_folder(folder) and not location.default:
        raise StorageError(
            f"{path}: the folder {folder} does not exist; type "
            f"`mkdir -p {positional(folder)}` first"
        )
    if is_folder(folder) and not _has_write_bit(folder):
        raise StorageError(
            f"{path}: the folder {folder} is read-only; name a database in another folder "
            "with --storage"
        )
    _check_local(path)


def _is_there(path: Path) -> bool:
    """Check if a regular file is there: with another kind, SQLite may wait for ever.

    Raises:
        StorageError: something else is there, or it can't be found out.
    """
    try:
        found = what_it_is(path)
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from None
    if found not in (None, "a file"):
        raise StorageError(
            f"{path}: an SQLite file is required, this is {found}; name another --storage"
        )
    return found is not None


def _check_local(path: Path) -> None:
    kind = file_system(path)
    if kind in NETWORK_FILE_SYSTEMS:
        raise StorageError(
            f"{path}: lies on a network file system ({kind}), where SQLite's locks do not hold "
            "and a study can be destroyed; for one machine name a file on a local disk with "
            "--storage, for several a server: --storage postgresql://USER@HOST/DATABASE"
        )


def file_system(path: Path) -> str:
    """Find the kind of the file system that a path lies on, or would; "" if it is unknown."""
    resolved = path.resolve()
    parts = psutil.disk_partitions(all=True)
    below = [part for part in parts if resolved.is_relative_to(part.mountpoint)]
    # of several mounts at one point the last one counts
    return max(reversed(below), key=lambda part: len(part.mountpoint)).fstype if below else ""


def create(location: Location) -> None:
    """Create the empty database file, for the user's eyes only, if it does not exist."""
    path = location.file
    try:
        if location.default:
            path.parent.mkdir(mode=0o700, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        pass
    except OSError as error:
        raise StorageError(f"{path}: cannot be created: {error.strerror}") from None


@contextmanager
def lock(location: Location, seconds: float) -> Iterator[None]:
    """Take the lock for what must happen once: a file beside the database.

    Raises:
        Timeout: another process kept it.
        StorageError: the system does not give it.
    """
    claimed = FileLock(f"{location.file}.lock", timeout=seconds, mode=0o600)
    try:
        claimed.acquire()
    except Timeout:
        raise
    except OSError as error:
        raise StorageError(
            f"{location.file}.lock: the lock cannot be taken: {error.strerror}; see whether the "
            "disk has locks, and whether a preloaded library answers for the system, then type "
            "the command again"
        ) from error
    try:
        yield
    finally:
        claimed.release()


def engine_arguments(location: Location) -> dict[str, Any]:
    """Make the arguments of SQLAlchemy's ``create_engine``."""
    return {"connect_args": {"timeout": BUSY_SECONDS}}


def set_up(engine: Engine) -> None:
    """Let readers and the writer not wait for each other; connections opened before are closed."""
    sqlalchemy.event.listen(engine, "connect", _set_pragmas)
    engine.dispose()


def now() -> ColumnElement[float]:
    """Make SQL for epoch seconds, read when the statement is executed: one host, one clock."""
    return sqlalchemy.bindparam("now", callable_=time.time, type_=sqlalchemy.Double)


def between(start: Column[Any], end: Column[Any]) -> ColumnElement[float]:
    """Make SQL for the seconds between two times; they are kept as texts, nonsense gives NULL."""
    days = sqlalchemy.func.julianday(end) - sqlalchemy.func.julianday(start)
    return sqlalchemy.type_coerce(days * 86400.0, sqlalchemy.Double)


def writing_url(location: Location) -> str:
    """Make a URL that writes, and makes no file in the place of one that was moved."""
    return _url(f"{location.file.as_uri()}?mode=rw")


def reading_url(location: Location) -> str:
    """Make a URL that only reads, and works on a read-only disk too."""
    return _url(_read_only_uri(location.file))


def _url(uri: str) -> str:
    file, _, query = uri.partition("?")
    url = sqlalchemy.URL.create("sqlite", database=file, query=dict(parse_qsl(query)))
    return url.update_query_dict({"uri": "true"}).render_as_string()


def _set_pragmas(connection: Any, record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _check_sqlite(path: Path) -> None:
    # SQLite itself has to look: if we opened and closed the file, the system would drop all
    # locks that connections of this process hold on it, and another process, last to close as it
    # thinks, would take their WAL away
    with _ReadOnly(path) as connection:
        try:
            connection.execute("PRAGMA schema_version")
            # what is shorter than a header is empty to SQLite, and would be written over
            is_one = not 0 < path.stat().st_size < _HEADER_BYTES
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorname != "SQLITE_NOTADB":
                raise
            is_one = False
        if not is_one:
            raise StorageError(
                f"{path}: an SQLite file is required, this is something else; name another "
                "--storage"
            )


def _look(connection: sqlite3.Connection) -> tuple[Tables, str | None]:
    """Read the names of the tables, and the version of Optuna's schema."""
    rows = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    )
    tables = {name: frozenset[str]() for (name,) in rows}
    row = None
    if ALEMBIC_VERSION in tables:
        row = connection.execute(f"SELECT version_num FROM {ALEMBIC_VERSION}").fetchone()
    if row is None:
        for name in tables.keys() & study_tables().keys():
            columns = connection.execute("SELECT name FROM pragma_table_info(?)", [name])
            tables[name] = frozenset(column for (column,) in columns)
    return tables, row[0] if row else None


def databases_beside(path: Path) -> Iterator[Path]:
    """Find the other SQLite databases in a database's folder."""
    try:
        others = sorted(path.parent.iterdir())
    except OSError:
        return
    for other in others:
        with suppress(OSError):
            is_other = other.is_file() and not other.samefile(path)
            if is_other and head_of(other, len(MAGIC)) == MAGIC:
                yield other


def reading(path: Path) -> AbstractContextManager[sqlite3.Connection]:
    """Open a read-only connection for one ``with`` block; SQLite's errors become ours.

    Raises:
        StorageError: it cannot be opened, or what is done with it fails.
    """
    return _ReadOnly(path)


class _ReadOnly:
    """A read-only connection for one ``with`` block; SQLite's errors become ours."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> sqlite3.Connection:
        uri = _read_only_uri(self._path)
        try:
            self._connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS)
        except sqlite3.Error as error:
            raise StorageError(f"{self._path}: cannot be opened: {error}") from None
        return self._connection

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._connection.close()
        name = getattr(error, "sqlite_errorname", "")
        if name == "SQLITE_READONLY_ROLLBACK":  # as stock Optuna leaves it when it is killed
            raise StorageError(
                f"{self._path}: a write was broken off, and nobody can read before it is undone; "
                f"type `cvfp-opt study doctor --repair --storage {quoted(self._path)}`"
            ) from None
        # the second: a name in the schema that is no text
        if isinstance(error, sqlite3.DatabaseError | UnicodeDecodeError):
            if not self._path.exists():
                raise StorageError(
                    f"{self._path}: was removed or moved while it was being opened; name the "
                    "database with --storage"
                ) from None
            raise StorageError(f"{self._path}: damaged or unreadable: {error}") from None


def _read_only_uri(path: Path) -> str:
    # readers of a WAL database make files beside it, unless told that nobody can write
    still = not os.access(path.parent, os.W_OK) and not Path(f"{path}-wal").exists()
    return f"{path.as_uri()}?mode=ro{'&immutable=1' if still else ''}"


def _has_write_bit(path: Path) -> bool:
    # the bits themselves too: the superuser's os.access always says yes
    mode = path.stat().st_mode
    writable = mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
    return bool(writable) and os.access(path, os.W_OK)
