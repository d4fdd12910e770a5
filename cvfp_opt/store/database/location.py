"""From what the user typed as ``--storage`` to one SQLite file, checked before it is touched."""

import os
import sqlite3
import stat
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cvfp_opt.errors import StorageError

DEFAULT_PATH = Path("storage") / "cvfp.db"
_SCHEME = "sqlite:///"
_HEADER = b"SQLite format 3\0"


@dataclass(frozen=True)
class Location:
    """Where a study database lies.

    Attributes:
        path: absolute path of the SQLite file, which need not exist yet.
        default: the user named none.
    """

    path: Path
    default: bool = False

    @property
    def url(self) -> str:
        """SQLAlchemy's URL, as every Optuna tool takes it."""
        return f"{_SCHEME}{self.path}"

    @property
    def shown(self) -> str:
        """The URL as short as it can be typed in the current folder."""
        try:
            return f"{_SCHEME}{self.path.relative_to(Path.cwd())}"
        except ValueError:
            return self.url

    @property
    def option(self) -> str:
        """What to add to a command to mean this database; empty for the default."""
        return "" if self.default else f" --storage {self.shown.removeprefix(_SCHEME)}"


def resolve_location(storage: str | None) -> Location:
    """The location for a path, a ``sqlite:///`` URL or None (``storage/cvfp.db`` here).

    Raises:
        StorageError: a URL of another kind of database.
    """
    if storage is None:
        return Location((Path.cwd() / DEFAULT_PATH).absolute(), default=True)
    if storage.startswith(_SCHEME):
        storage = storage.removeprefix(_SCHEME)
    elif "://" in storage:
        scheme = storage.split("://", 1)[0]
        raise StorageError(
            f"--storage: a path or a {_SCHEME}PATH URL is required, got one of {scheme!r}; "
            "server databases are not supported by this version"
        )
    if not storage:
        raise StorageError(f"--storage: a path or a {_SCHEME}PATH URL is required, got nothing")
    return Location(Path(storage).expanduser().absolute())


def check_readable(location: Location) -> None:
    """Refuse what is no study database, without creating or changing anything.

    Raises:
        StorageError: missing, no SQLite file, another program's, or of a newer Optuna.
    """
    path = location.path
    if not path.exists():
        raise StorageError(
            f"{path}: there is no study database; "
            "type `cvfp-opt run` to start one, or name another with --storage"
        )
    _check_sqlite(path)
    with _ReadOnly(path) as connection:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
        if not tables:
            raise StorageError(f"{path}: the database is empty; type `cvfp-opt run` to fill it")
        if not {"studies", "trials"} <= tables:
            raise StorageError(
                f"{path}: a study database is required, this SQLite file belongs to another "
                f"program (its tables: {', '.join(sorted(tables)[:5])}); name another --storage"
            )
        if "alembic_version" in tables:
            _check_schema(path, connection)


def has_database(location: Location) -> bool:
    """Whether there is an SQLite file with anything in it. Raises StorageError if damaged."""
    if not location.path.exists():
        return False
    _check_sqlite(location.path)
    with _ReadOnly(location.path) as connection:
        return connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] > 0


def check_writable(location: Location) -> None:
    """Refuse a database that can't be written or, if it does not exist, can't be created.

    Raises:
        StorageError: as ``check_readable`` for an existing file; read-only file or folder;
            missing folder (but for the default, whose folder is made).
    """
    path, folder = location.path, location.path.parent
    if path.exists():
        if has_database(location):
            check_readable(location)
        if not _has_write_bit(path):
            raise StorageError(
                f"{path}: the database is read-only; type `chmod u+w {path}`, "
                "or copy it and name the copy with --storage"
            )
    elif not folder.is_dir() and not location.default:
        raise StorageError(
            f"{path}: the folder {folder} does not exist; type `mkdir -p {folder}` first"
        )
    if folder.is_dir() and not _has_write_bit(folder):
        raise StorageError(
            f"{path}: the folder {folder} is read-only; name a database in another folder "
            "with --storage"
        )


def create_private(location: Location) -> None:
    """Create the empty database file, for the user's eyes only, if it does not exist."""
    if location.default:
        location.path.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        os.close(os.open(location.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        pass
    except OSError as error:
        raise StorageError(f"{location.path}: cannot be created: {error.strerror}") from None


def _check_sqlite(path: Path) -> None:
    try:
        with path.open("rb") as file:
            head = file.read(len(_HEADER))
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from None
    if head and head != _HEADER:
        raise StorageError(
            f"{path}: an SQLite file is required, this is something else; name another --storage"
        )


def _check_schema(path: Path, connection: sqlite3.Connection) -> None:
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    if row is not None and row[0] not in _known_schemas():
        raise StorageError(
            f"{path}: written by a newer Optuna (schema {row[0]}) than the one installed here; "
            "type `pip install -U optuna cvfp-opt`"
        )


@cache
def _known_schemas() -> frozenset[str]:
    from optuna.storages import RDBStorage

    return frozenset(RDBStorage("sqlite:///:memory:").get_all_versions())


class _ReadOnly:
    """A read-only connection for one ``with`` block; SQLite's errors become ours."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> sqlite3.Connection:
        self._connection = sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True, timeout=60)
        return self._connection

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._connection.close()
        if isinstance(error, sqlite3.DatabaseError):
            raise StorageError(f"{self._path}: damaged or unreadable: {error}") from None


def _has_write_bit(path: Path) -> bool:
    # the bits themselves too: the superuser's os.access always says yes
    mode = path.stat().st_mode
    writable = mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
    return bool(writable) and os.access(path, os.W_OK)
