"""Files and folders that reports leave: whole or not at all."""

from pathlib import Path

from cvfp_opt import disk as files
from cvfp_opt.errors import ReportError


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file whole, in the place of one of that name; see ``files.write_file``.

    Raises:
        ReportError: the disk refuses, or there is no such folder.
    """
    files.write_file(path, content, error=ReportError)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it.

    Raises:
        ReportError: the disk refuses.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReportError(f"{path}: cannot be made a folder: {error.strerror}") from None
