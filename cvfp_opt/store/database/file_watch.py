"""A watch over an open SQLite file: is it still the one at its path? If not, its content is saved.

SQLite writes on to a file that was removed or moved, and to its log, as if nothing had happened:
the first is lost with the last process that has it open, the second lacks what is in the log. One
that another was copied over (``cp``) becomes a mixture of both.
"""

import os
import secrets
import sqlite3
import threading
import time
import uuid
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil
import sqlalchemy
from sqlalchemy import Engine

from cvfp_opt.errors import StorageError
from cvfp_opt.escaping import printable, quoted
from cvfp_opt.store.database.unsent_folder import unsent_folder

BUSY_SECONDS = 60


class FileGone(StorageError):
    """The open file of a database is no longer the one at its path; nothing more is written."""


_File = tuple[int, int]  # device and inode
# The identity of a file that nobody may look at.
_UNKNOWN: _File = (-1, -1)
_CHECK = "PRAGMA integrity_check(1)"
# The header of an SQLite file: 100 bytes, integers with the high byte first.
MAGIC, _HEADER_BYTES = b"SQLite format 3\0", 100
_COUNTER, _MARK = slice(24, 28), slice(60, 64)  # of changes; of ``user_version``


@dataclass(frozen=True)
class _Files:
    """A database and its log, as they lie at their paths; None for nothing."""

    main: _File | None
    log: _File | None


class FileWatch:
    """A watch that refuses transactions on an SQLite file that is not where it was opened.

    It has a connection of its own, through which all that was written can be reached however
    the file is called, and whether it has a name at all.

    Args:
        path: of the database, which has its tables.
        engine: whose transactions, and new connections, are refused.

    Raises:
        StorageError: it cannot be opened.
    """

    def __init__(self, path: Path, engine: Engine) -> None:
        self._path = path
        self._real = Path(os.path.realpath(path))
        self._since = time.time()
        self._lock = threading.Lock()
        self._outcome = ""
        try:
            # moved since the engine was opened, it must not be made anew
            self._connection = sqlite3.connect(
                f"{self._real.as_uri()}?mode=rw",
                uri=True,
                timeout=BUSY_SECONDS,
                isolation_level=None,
                check_same_thread=False,
            )
            self._connection.execute("PRAGMA schema_version").fetchone()  # opens the log
            mark = self._mark()
        except sqlite3.Error as error:
            raise StorageError(f"{path}: cannot be opened: {error}") from None
        self._opened = self._look()
        self._marks = {mark, int.from_bytes((self._header() or b"")[_MARK])}
        self._changed, self._counter, self._is_another = -1, 0, False
        sqlalchemy.event.listen(engine, "begin", self._refuse)
        # SQLite would make a new file
        sqlalchemy.event.listen(engine, "do_connect", self._refuse)

    def check(self) -> None:
        """Raise FileGone if the file is not at its path any more. Takes 6 us."""
        there = self._look()
        if not self._outcome and self._is_the_same(there) and not self._is_written_over():
            return
        with self._lock:
            self._outcome = self._outcome or self._settle(there)
        raise FileGone(self._outcome)

    def close(self) -> None:
        """Close the connection: if it is the last one, the log is folded in."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _refuse(self, *what: object) -> None:
        self.check()

    def _look(self) -> _Files:
        # by the path as it was named: a link may lead elsewhere now
        return _Files(_identity(self._path), _identity(_log_of(self._real)))

    def _is_the_same(self, there: _Files) -> bool:
        main = _agree(self._opened.main, there.main)
        return main and (self._opened.log is None or _agree(self._opened.log, there.log))

    def _is_written_over(self) -> bool:
        """Check if the file has another file's content, an older one of its own, or none.

        Its own changes only as its log is brought in: then it counts on.
        """
        try:
            changed = os.stat(self._real).st_mtime_ns
        except OSError:
            return False
        if changed == self._changed or self._opened.log is None:
            return self._is_another
        with self._lock:
            header = self._header()
            if header is None:
                return False
            counter, mark = (int.from_bytes(header[place]) for place in (_COUNTER, _MARK))
            self._is_another |= (
                len(header) < _HEADER_BYTES
                or not header.startswith(MAGIC)
                or mark not in self._marks
                or counter < self._counter
            )
            self._changed, self._counter = changed, counter
        return self._is_another

    def _mark(self) -> int:
        """Mark the file by a number that SQLite leaves to its users, to tell it from others."""
        query = "PRAGMA user_version"
        if self._connection.execute(query).fetchone() == (0,):
            with suppress(sqlite3.OperationalError):  # others write for long: another time
                self._connection.execute(f"{query} = {1 + secrets.randbelow(2**31 - 1)}")
        return int(self._connection.execute(query).fetchone()[0])

    def _header(self) -> bytes | None:
        """Read the header of the file itself, of which its log may have a newer one.

        Read by SQLite's own descriptor: whoever closes another one drops SQLite's locks.
        """
        number = _descriptor_of(self._opened.main)
        return None if number is None else os.pread(number, _HEADER_BYTES, 0)

    def _settle(self, there: _Files) -> str:
        """Bring all that was written into one file that has a name; describe what happened."""
        where, again = printable(self._path), "type the same command again"
        if self._is_another and there.main == self._opened.main:
            outcome = f"{where}: was overwritten while it was in use; {self._copied()}"
            with suppress(OSError):  # or that one would be given what is in the log of this one
                os.truncate(_log_of(self._real), 0)
            return outcome
        if there.main == self._opened.main:
            if there.log is None and self._fold():
                return (
                    f"{where}: its log {self._real.name}-wal was removed while it was in use; "
                    f"what that held is in the database: {again}"
                )
            return (
                f"{where}: its log {self._real.name}-wal was removed or replaced while it was in "
                f"use; {self._copied()}"
            )
        place = self._place()
        if place is not None and self._is_whole_at(place):
            return (
                f"{where}: was moved to {printable(place)} while it was in use, with all that was "
                f"written: {again} with --storage {quoted(place)}"
            )
        did = "removed" if there.main is None else "replaced by another file"
        outcome = f"{where}: was {did} while it was in use; {self._copied()}"
        if there.main is not None and not is_open(self._real):
            self._fold()  # or the other file would be given what is in the log of this one
        return outcome

    def _is_whole_at(self, place: Path) -> bool:
        """Check whether all that was written can be read there, by anybody."""
        log = _identity(_log_of(place))
        return self._fold() if log is None else log == self._opened.log

    def _fold(self) -> bool:
        """Fold the log into the open file, whatever its name; return whether that was done."""
        try:
            query = "PRAGMA wal_checkpoint(TRUNCATE)"
            busy, _, _ = self._connection.execute(query).fetchone()
        except sqlite3.Error:
            return False
        return not busy

    def _place(self) -> Path | None:
        """Find the path at which the open file lies now, if the system can tell."""
        number = _descriptor_of(self._opened.main)
        if number is None:
            return None
        with suppress(OSError):
            place = Path(os.readlink(f"/proc/self/fd/{number}"))
            return place if _identity(place) == self._opened.main else None
        return None

    def _copied(self) -> str:
        """Copy all that was written to a file in ``storage/unsent``; return where, in words."""
        try:
            copy = self._copy()
        except (OSError, sqlite3.Error, StorageError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            return f"what was written to it cannot be copied ({reason}), and is lost"
        return (
            f"all that was written is in {printable(copy)}: "
            f"type the same command with --storage {quoted(copy)}"
        )

    def _copy(self) -> Path:
        main, log = self._opened.main or (0, 0), self._opened.log or (0, 0)
        # all processes that have the file open agree on the name, and copy the same
        target = unsent_folder() / f"{self._real.stem}-{main[1]}-{log[1]}.db"
        if target.exists():
            if target.stat().st_mtime >= self._since:
                return target
            target = target.with_stem(f"{target.stem}-{uuid.uuid4().hex}")
        part = target.with_name(f".cvfp-opt-{uuid.uuid4().hex}.part")
        try:
            os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            with closing(sqlite3.connect(part)) as copy:
                self._connection.backup(copy)
                if self._is_another and copy.execute(_CHECK).fetchone() != ("ok",):
                    raise sqlite3.DatabaseError("only parts of it are left")
            try:
                os.link(part, target)
            except FileExistsError:  # another process was quicker, and somebody may go on there
                pass
            except OSError:  # a disk without links
                os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)
        return target


def head_of(path: Path, count: int) -> bytes:
    """Read the first bytes of a file that may be a database, or lie beside one.

    By a descriptor that this process has of it, if it has one: whoever opens and closes another
    one drops all of SQLite's locks on the file, and others truncate what this process reads.

    Raises:
        OSError: it cannot be read.
    """
    number = _descriptor_of(_file(os.stat(path)))
    if number is not None:
        return os.pread(number, count, 0)
    with path.open("rb") as file:
        return file.read(count)


def is_open(path: Path) -> bool:
    """Check whether a process that can be seen from here has the file of that name open."""
    wanted = _identity(path)
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            for file in process.open_files():
                # psutil gives the file that was removed from a path for the one that is there
                opened = _identity(Path(f"/proc/{process.pid}/fd/{file.fd}"))
                if file.path == str(path) and opened in (wanted, _UNKNOWN, None):
                    return True
    return False


def _descriptor_of(file: _File | None) -> int | None:
    """Find a descriptor under which this process has a file open, if the system can tell."""
    with suppress(OSError):
        for number in map(int, os.listdir("/dev/fd")):
            with suppress(OSError):
                if _file(os.fstat(number)) == file:
                    return number
    return None


def _log_of(path: Path) -> Path:
    return Path(f"{path}-wal")


def _file(found: os.stat_result) -> _File:
    return found.st_dev, found.st_ino


def _identity(path: Path) -> _File | None:
    """Identify the file at a path; None if there is none."""
    try:
        return _file(os.stat(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return _UNKNOWN


def _agree(one: _File | None, other: _File | None) -> bool:
    return one == other or _UNKNOWN in (one, other)
