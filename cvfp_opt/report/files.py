"""Files that reports leave: whole or not at all."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from cvfp_opt.errors import ReportError


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file, in the place of one of that name.

    Raises:
        ReportError: the disk refuses, or there is no such folder.
    """
    if path.is_dir():
        raise ReportError(f"{path}: a file is required, this is a folder")
    data = content.encode() if isinstance(content, str) else content
    temporary = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.absolute().parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        temporary.chmod(0o666 & ~_umask())  # as any new file; mkstemp's is its owner's alone
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()
        raise ReportError(f"{path}: cannot be written: {error.strerror}") from None


def make_folder(path: Path) -> None:
    """Make a folder, and those above it.

    Raises:
        ReportError: the disk refuses.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReportError(f"{path}: cannot be made a folder: {error.strerror}") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
