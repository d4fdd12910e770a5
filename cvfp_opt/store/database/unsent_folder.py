"""The folder ``storage/unsent`` here, with results that could not be written to their database."""

from pathlib import Path

from cvfp_opt.errors import StorageError

FOLDER = Path("storage") / "unsent"


def unsent_folder() -> Path:
    """Make the folder, for the user's eyes only.

    Raises:
        StorageError: there is none, and none can be made.
    """
    try:
        folder = Path.cwd() / FOLDER
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{FOLDER}: cannot be made here: {error.strerror}") from None
    return folder


def unsent_files() -> list[Path]:
    """List all files that may be unsent results."""
    try:
        return sorted((Path.cwd() / FOLDER).glob("*.json"))
    except OSError:  # the current folder is gone
        return []
