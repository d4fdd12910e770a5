"""Whole files that a user names: asked what they are before they are read or replaced.

Opening a named pipe waits for a writer who may never come, a device may have no end, and a file
put in the place of a device or of a link is not what ``-o`` asked for.
"""

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from cvfp_opt.errors import CvfpOptError

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
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    except ValueError as error:  # a null byte; a character that the file system cannot spell
        raise OSError(0, str(error)) from None
    return _kind(mode)


def is_there(path: Path) -> bool:
    """Whether anything can be seen to lie at a path, links followed."""
    try:
        return what_it_is(path) is not None
    except OSError:
        return False


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
    """Write a file, whole or not at all, in the place of what is there.

    A link stays a link, its target is written; a file keeps its owner, its permissions and its
    other names (hard links); to a device such as /dev/stdout, and to a named pipe that somebody
    reads, the content is written as it is. A new file has the permissions of any new file.

    Raises:
        CvfpOptError: of the class ``error``: the disk refuses, there is no such folder, or a
            folder, a socket or a disk lies there.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        target = Path(os.path.realpath(path))
        try:
            there: os.stat_result | None = target.stat()
        except FileNotFoundError:
            there = None
        if there is None or stat.S_ISREG(there.st_mode):
            _replace(target, data, there)
        elif stat.S_ISCHR(there.st_mode) or stat.S_ISFIFO(there.st_mode):
            _pour(path, data)
        else:
            raise error(f"{path}: a file is required, this is {_kind(there.st_mode)}")
    except OSError as refusal:
        raise error(f"{path}: cannot be written: {refusal.strerror}") from None
    except ValueError as refusal:
        raise error(f"{path!r}: cannot be written: {refusal}") from None


def _kind(mode: int) -> str:
    return next((words for matches, words in _KINDS if matches(mode)), "a file")


def _replace(target: Path, data: bytes, there: os.stat_result | None) -> None:
    # the name of the temporary file does not follow from a name that may be as long as it can be
    handle, name = tempfile.mkstemp(prefix=".cvfp-opt-", suffix=".part", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if there is None:
            temporary.chmod(0o666 & ~_umask())
        elif there.st_nlink > 1:  # the other names are to show the new content too
            with target.open("r+b") as file:
                file.write(data)
                file.truncate()
            return
        else:
            if not os.access(target, os.W_OK):
                raise PermissionError(13, "Permission denied")
            with suppress(PermissionError):  # of somebody else's file, in a folder that is ours
                os.chown(temporary, there.st_uid, there.st_gid)
            temporary.chmod(stat.S_IMODE(there.st_mode))
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _pour(path: Path, data: bytes) -> None:
    """Write to what takes bytes as they come; a pipe that nobody reads is refused (ENXIO)."""
    descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    os.set_blocking(descriptor, True)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
