"""Stores of artifacts, and how ``--artifacts`` is read."""

from pathlib import Path
from typing import BinaryIO, Protocol

from cvfp_opt.disk import is_folder, what_it_is
from cvfp_opt.errors import StorageError
from cvfp_opt.escaping import positional, quoted
from cvfp_opt.redaction import redacted
from cvfp_opt.store.database.location import Location, resolved, user_path
from cvfp_opt.store.files.folder import FolderStore
from cvfp_opt.store.files.s3 import SCHEME, S3Store

_FOLDER = "artifacts"


class ArtifactStore(Protocol):
    """Optuna's protocol of a store, so that its functions and its dashboard take ours.

    What is under an id is whole: the old content, or the new one. All methods raise StorageError
    where the store fails.
    """

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Open an artifact to read. Raises Optuna's ArtifactNotFound if there is none."""

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        """Write the content, in the place of any former one."""

    def remove(self, artifact_id: str) -> None:
        """Remove an artifact. May raise Optuna's ArtifactNotFound."""


def open_artifacts(location: Location, artifacts: str | None) -> ArtifactStore:
    """Open the artifact store of a study database; nothing is changed yet.

    Args:
        location: of the database.
        artifacts: a folder, or ``s3://BUCKET/PREFIX``; None for ``artifacts`` beside the SQLite
            file, and ``storage/artifacts`` in the current folder for a server's database.

    Raises:
        StorageError: not such a place, or it cannot be reached.
    """
    if artifacts is None:
        beside = Path.cwd() / "storage" if location.path is None else location.path.parent
        return FolderStore(beside / _FOLDER)
    if artifacts.startswith(SCHEME):
        return S3Store(artifacts)
    if not artifacts or "://" in artifacts:
        raise StorageError(
            f"--artifacts: a folder or {SCHEME}BUCKET/PREFIX is required, "
            f"got {redacted(artifacts, word=True) or 'nothing'}"
        )
    where = f"--artifacts {quoted(artifacts)}"
    _, folder = resolved(user_path(artifacts, "--artifacts"), where)
    try:
        found = what_it_is(folder)
    except OSError as error:  # a name that is too long, a folder that is closed to us
        raise StorageError(f"{where}: cannot be looked at: {error.strerror}") from None
    if found not in (None, "a folder"):
        raise StorageError(f"{where}: a folder is required, this is {found}")
    if not is_folder(folder.parent):  # mistyped, or not mounted: nothing to make in silence
        raise StorageError(
            f"{where}: the folder {folder.parent} does not exist; "
            f"type `mkdir -p {positional(folder.parent)}` first"
        )
    return FolderStore(folder)
