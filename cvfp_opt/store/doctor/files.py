"""Checks of files beside a database: logs, locks, temporary files, unfinished runs."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from filelock import FileLock, Timeout

from cvfp_opt.errors import StorageError
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.sqlite import BUSY_SECONDS
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.unsent_folder import FOLDER as UNSENT
from cvfp_opt.store.doctor.context import Context
from cvfp_opt.store.doctor.finding import Finding, Repair, counted, size
from cvfp_opt.store.files.folder import LEFTOVER_SECONDS, FolderStore
from cvfp_opt.store.files.snapshots import FOLDER as UNFINISHED

# The first bytes of a rollback journal as long as it has to be played back.
_HOT = bytes.fromhex("d9d505f920a163d7")
# Only locks of databases are looked at: other programs' lock files mean something, as uv.lock.
_DATABASES = (".db", ".sqlite", ".sqlite3")


def hot_journal(location: Location) -> Path | None:
    """Find the journal of a write that was cut short; until it is undone nobody can read."""
    path = Path(f"{location.path}-journal")
    if location.path is None or not path.is_file():
        return None
    with path.open("rb") as file:
        return path if file.read(len(_HOT)) == _HOT else None


def unmerged(location: Location) -> Path | None:
    """Find what is not in the database file yet: a journal, or else a log that is not empty."""
    log = Path(f"{location.path}-wal")
    full = location.path is not None and log.is_file() and log.stat().st_size > 0
    return hot_journal(location) or (log if full else None)


def find_journals(context: Context) -> list[Finding]:
    """Find a log or journal that the last process to write left unmerged when it was killed."""
    found = unmerged(context.location)
    if found is None or context.in_use:
        return []
    if found == hot_journal(context.location):
        return [
            Finding(
                where=str(found),
                what="a write that was broken off",
                cause="a process was killed while it wrote; until this is undone, the database "
                "cannot be read",
                help="undoes it, as the next program that writes would",
                repair=_settle(context.location, "the write that was broken off is undone"),
            )
        ]
    return [
        Finding(
            where=str(found),
            what=f"{size(found.stat().st_size)} that are not in the database file yet",
            cause="the last process that wrote was killed; nothing is lost, but a copy of the "
            "database file alone would lack them",
            help="folds them in",
            repair=_settle(context.location, f"{found.name} is folded into the database file"),
        )
    ]


def _settle(location: Location, done: str) -> Repair:
    """Make the repair that SQLite does itself when somebody opens a database to write."""

    def repair(open_store: Callable[[], Store]) -> str:
        if hot_journal(location) is None:
            open_store()  # refuses where nothing may be written
        try:
            connection = sqlite3.connect(location.file, timeout=BUSY_SECONDS)
            with closing(connection):
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error as error:
            raise StorageError(f"{location.file}: cannot be written: {error}") from None
        return done

    return repair


def find_temporary_files(context: Context) -> list[Finding]:
    """Find files that somebody began to write and did not finish."""
    found = [path for folder in (UNSENT, UNFINISHED) for path in _temporary(Path.cwd() / folder)]
    if isinstance(context.artifacts, FolderStore):
        found += context.artifacts.leftovers()
    return [
        Finding(
            where=str(path),
            what=f"an unfinished file, {size(path.stat().st_size)}",
            cause="its writer was killed: nobody has written to it for an hour",
            help="removes it",
            repair=_unlink(path),
        )
        for path in found
    ]


def _temporary(folder: Path) -> Iterator[Path]:
    for pattern in ("*.tmp", ".cvfp-opt-*.part"):
        for path in sorted(folder.glob(pattern)):
            if path.is_file() and _is_old(path):
                yield path


def _is_old(path: Path) -> bool:
    return path.stat().st_mtime < time.time() - LEFTOVER_SECONDS


def _unlink(path: Path) -> Repair:
    def repair(open_store: Callable[[], Store]) -> str:
        if path.exists() and not _is_old(path):
            raise StorageError(f"{path}: somebody writes to it again; nothing was removed")
        return _removed(path)

    return repair


def _removed(path: Path) -> str:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{path}: cannot be removed: {error.strerror}") from None
    return f"{path} is removed"


def find_lock_files(context: Context) -> list[Finding]:
    """Find locks of databases that are gone; that of an existing one stays, and means nothing."""
    if context.location.path is None:
        return []
    found = []
    for path in sorted(context.location.path.parent.glob("*.lock")):
        database = path.with_suffix("")
        if database.suffix not in _DATABASES or database.exists():
            continue
        if path.stat().st_size == 0 and _is_old(path):
            found.append(
                Finding(
                    where=str(path),
                    what="the lock of a database that is gone",
                    cause=f"{database.name} was removed without it",
                    help="removes it",
                    repair=_unlink_lock(path),
                )
            )
    return found


def _unlink_lock(path: Path) -> Repair:
    def repair(open_store: Callable[[], Store]) -> str:
        try:
            with FileLock(path, timeout=0):  # which may have given it a new time
                return _removed(path)
        except Timeout:
            raise StorageError(f"{path}: somebody holds it; nothing was removed") from None

    return repair


def find_unfinished(context: Context) -> list[Finding]:
    """Find stopped runs without a study."""
    paths = sorted((Path.cwd() / UNFINISHED).glob("*.safetensors"))
    if not paths:
        return []
    stats = [path.stat() for path in paths]
    days = (time.time() - max(stat.st_mtime for stat in stats)) / 86400
    return [
        Finding(
            where=str(paths[0].parent),
            what=f"{counted(len(paths), 'unfinished run')}, "
            f"{size(sum(stat.st_size for stat in stats))}, the last one {days:.0f} days old",
            cause="`train` or `reproduce` was stopped",
            help="the same command goes on from there; to give a run up, remove its file",
            harmless=True,
        )
    ]
