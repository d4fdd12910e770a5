"""Whole files that a user names: their kind is checked before they are read or replaced.

Opening a named pipe waits for a writer who may never come, a device may have no end, and a file
put in the place of a device or of a link is not what ``-o`` asked for.
"""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from cvfp_opt.errors import CvfpOptError
from cvfp_opt.escaping import positional

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def what_it_is(path: Path) -> str | None:
    """Name what lies at a path, links followed: "a file", "a folder", "a device" …; None: nothing.

    Raises:
        OSError: it cannot be told (a folder on the way is closed, the name is too long …); a path
            that no system takes (with a null byte, say) is an OSError too.
    """
    status = _status(path)
    return None if status is None else _kind(status.st_mode)


def is_there(path: Path) -> bool:
    """Check whether anything can be seen to lie at a path, links followed."""
    try:
        return what_it_is(path) is not None
    except OSError:
        return False


def check_new(path: Path, *, error: type[CvfpOptError], instead: str) -> None:
    """Refuse a path at which something lies already, or whose folder does not exist.

    Args:
        path: as the user named it.
        error: to raise.
        instead: what to do where something lies there.

    Raises:
        CvfpOptError: of the class ``error``.
    """
    folder = Path(os.path.abspath(path)).parent
    try:
        there = what_it_is(path) is not None
    except OSError as refusal:
        raise error(f"{path}: cannot be written: {refusal.strerror}") from None
    if there:
        raise error(f"{path}: exists already; {instead}")
    if not is_folder(folder):
        raise error(
            f"{path}: the folder {folder} does not exist; type `mkdir -p {positional(folder)}` "
            "first"
        )


def open_file(path: Path, *, error: type[CvfpOptError], name: str = "") -> BinaryIO:
    """Open a regular file to read; whatever else lies there is refused before it can hang.

    Args:
        path: as the user named it.
        error: to raise.
        name: what the message begins with instead of the path: ``--data text.txt``, say.

    Raises:
        CvfpOptError: of the class ``error``: missing, no regular file, or not to be opened.
    """
    where = name or str(path)
    try:
        found = what_it_is(path)
        if found is None:
            raise error(f"{where}: there is no such file")
        if found == "a file":
            # what it is may have changed since: non-blocking, and asked again
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            found = _kind(os.fstat(descriptor).st_mode)
            if found == "a file":
                return os.fdopen(descriptor, "rb")
            os.close(descriptor)
    except OSError as refusal:
        raise error(f"{where}: cannot be read: {refusal.strerror}") from None
    hint = "" if found == "a folder" else "; write its content to a file first and name that"
    raise error(f"{where}: a file is required, this is {found}{hint}")


def read_file(
    path: Path, *, error: type[CvfpOptError], name: str = "", limit: int | None = None
) -> bytes:
    """Read a whole regular file; see ``open_file``.

    Args:
        path: as the user named it.
        error: to raise.
        name: what the message begins with instead of the path.
        limit: bytes that such a file may have at most.

    Raises:
        CvfpOptError: of the class ``error``: as ``open_file``; too large; or reading fails.
    """
    where = name or str(path)
    with open_file(path, error=error, name=name) as file:
        try:
            content = file.read() if limit is None else file.read(limit + 1)
        except OSError as refusal:
            raise error(f"{where}: cannot be read: {refusal.strerror}") from None
    if limit is not None and len(content) > limit:
        raise error(f"{where}: at most {limit:,} bytes are read of such a file, it has more")
    return content


def write_file(path: Path, content: str | bytes, *, error: type[CvfpOptError]) -> None:
    """Write a file, whole or not at all, in the place of what is there; see ``replacing``.

    Raises:
        CvfpOptError: of the class ``error``: as ``replacing``.
    """
    with replacing(path, error=error) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def replacing(
    path: Path, *, error: type[CvfpOptError], private: bool = False
) -> Iterator[BinaryIO]:
    """Write a file piece by piece, whole or not at all, in the place of what is there.

    A link stays a link, its target is written; a file keeps its owner, its permissions and its
    other names (hard links); to a device such as /dev/stdout, and to a named pipe that somebody
    reads, the content is written as it is. A new file has the permissions of any new file. Until
    the ``with`` block ends well, all is as it was, and the file lies beside, under its ``name``.

    Args:
        path: as the user named it.
        error: to raise.
        private: it is for its owner alone, and no link or file that somebody else put there is
            trusted: in its place comes a new one.

    Raises:
        CvfpOptError: of the class ``error``: the disk refuses, there is no such folder, or a
            folder, a socket or a disk lies there.
    """
    try:
        there = _status(path)
        if private and there is not None and not stat.S_ISDIR(there.st_mode):
            there = None
        if there is None or stat.S_ISREG(there.st_mode):
            target = Path(os.path.abspath(path) if private else os.path.realpath(path))
            with _beside(target) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
                _settle(Path(file.name), target, there, private)
            sync_folder(target.parent)
        elif stat.S_ISCHR(there.st_mode) or stat.S_ISFIFO(there.st_mode):
            with tempfile.TemporaryFile() as file:
                yield file
                file.seek(0)
                _pour(file, path)
        else:
            raise error(f"{path}: a file is required, this is {_kind(there.st_mode)}")
    except OSError as refusal:
        raise error(f"{path}: cannot be written: {refusal.strerror}") from None


@contextmanager
def making_folder(folder: Path, *, error: type[CvfpOptError]) -> Iterator[Path]:
    """Fill a new folder, whole or not at all: it gets its name when the ``with`` block ends well.

    Raises:
        CvfpOptError: of the class ``error``: the disk refuses, something lies there, or the
            folder above it does not exist.
    """
    temporary = None
    try:
        _status(folder)
        temporary = Path(tempfile.mkdtemp(".part", ".cvfp-opt-", os.path.abspath(folder.parent)))
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        os.replace(temporary, folder)
    except OSError as refusal:
        raise error(f"{folder}: cannot be written: {refusal.strerror}") from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)  # gone by now, if all went well


def make_folder(path: Path, *, error: type[CvfpOptError]) -> None:
    """Make a folder, and those above it, where they are missing.

    Raises:
        CvfpOptError: of the class ``error``: the disk refuses.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as refusal:
        raise error(f"{path}: cannot be made a folder: {refusal.strerror}") from None


def is_folder(path: Path) -> bool:
    """Check whether a folder is there, and can be looked at; never raises."""
    try:
        return what_it_is(path) == "a folder"
    except OSError:
        return False


def sync_folder(folder: Path) -> None:
    """Make a new name in a folder last through a power cut, where the system can."""
    with suppress(OSError):  # some network file systems refuse
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _kind(mode: int) -> str:
    return next((words for matches, words in _KINDS if matches(mode)), "a file")


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None
    except ValueError as error:  # a null byte; a character that the file system cannot spell
        raise OSError(0, str(error)) from None


@contextmanager
def _beside(target: Path) -> Iterator[BinaryIO]:
    """Open a temporary file in the same folder; it is gone at the end, unless it was moved."""
    # its name does not follow from a name that may be as long as it can be
    handle, name = tempfile.mkstemp(prefix=".cvfp-opt-", suffix=".part", dir=target.parent)
    os.close(handle)
    try:
        with open(name, "w+b") as file:
            yield file
    finally:
        Path(name).unlink(missing_ok=True)


def _settle(temporary: Path, target: Path, there: os.stat_result | None, private: bool) -> None:
    """Give a written file its name, and what belongs to the one that had it."""
    if there is None:
        if not private:  # a temporary file is for its owner alone
            temporary.chmod(0o666 & ~_umask())
    elif not os.access(target, os.W_OK):
        raise PermissionError(13, "Permission denied")
    elif there.st_nlink > 1:  # the other names are to show the new content too
        with temporary.open("rb") as source, target.open("r+b") as file:
            shutil.copyfileobj(source, file)
            file.truncate()
        return
    else:
        with suppress(PermissionError):  # of somebody else's file, in a folder that is ours
            os.chown(temporary, there.st_uid, there.st_gid)
        temporary.chmod(stat.S_IMODE(there.st_mode))
    os.replace(temporary, target)


def _pour(source: BinaryIO, path: Path) -> None:
    """Write to what takes bytes as they come; a pipe that nobody reads is refused (ENXIO)."""
    descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    os.set_blocking(descriptor, True)
    with os.fdopen(descriptor, "wb") as file:
        shutil.copyfileobj(source, file)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
