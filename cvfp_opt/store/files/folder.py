"""Artifacts in a folder: each file is whole, or not there.

Not Optuna's FileSystemArtifactStore, which writes to the final name and lets others see what is
half written; and not under its Backoff, which repeats a removal that was done, up to ten times.
"""

import re
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from optuna.artifacts.exceptions import ArtifactNotFound

from cvfp_opt.disk import replacing, what_it_is
from cvfp_opt.errors import StorageError
from cvfp_opt.store.files.artifact_names import checked_id

# Temporary files: those of cvfp_opt.disk, and those of versions that wrote them here themselves.
_TEMPORARY = re.compile(r"\.cvfp-opt-\w+\.part|\..+\.[0-9a-f]{32}\.tmp")
# A file that nobody wrote to for so long has no writer: those write several times a second.
LEFTOVER_SECONDS = 3600.0
_CHUNK = 1 << 20


@dataclass(frozen=True)
class FolderStore:
    """An ArtifactStore in a folder, which is for its owner only, as its files are.

    Attributes:
        folder: made by the first write.
    """

    folder: Path

    def path(self, artifact_id: str) -> Path:
        """Locate an artifact's file. Raises StorageError for what is no id."""
        return self.folder / checked_id(artifact_id)

    def open_reader(self, artifact_id: str) -> BinaryIO:
        path = self.path(artifact_id)
        try:
            if what_it_is(path) not in (None, "a file"):  # a named pipe would be waited for
                raise StorageError(f"{path}: a file is required, this is {what_it_is(path)}")
            return open(path, "rb")
        except FileNotFoundError:
            raise ArtifactNotFound(f"{path}: does not exist") from None
        except OSError as error:
            raise StorageError(f"{path}: cannot be read: {error.strerror}") from None

    def write(self, artifact_id: str, content_body: BinaryIO) -> None:
        path = self.path(artifact_id)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{path}: cannot be written: {error.strerror}") from None
        with replacing(path, error=StorageError, private=True) as file:
            shutil.copyfileobj(content_body, file, _CHUNK)

    def remove(self, artifact_id: str) -> None:
        path = self.path(artifact_id)
        try:
            path.unlink()
        except FileNotFoundError:
            raise ArtifactNotFound(f"{path}: does not exist") from None
        except OSError as error:
            raise StorageError(f"{path}: cannot be removed: {error.strerror}") from None

    def leftovers(self) -> list[Path]:
        """List the files of killed writers: not written to for LEFTOVER_SECONDS."""
        before = time.time() - LEFTOVER_SECONDS
        found = []
        with suppress(FileNotFoundError):  # the folder, or a file that was moved just now
            for path in sorted(self.folder.iterdir()):
                with suppress(FileNotFoundError):
                    if _TEMPORARY.fullmatch(path.name) and path.stat().st_mtime < before:
                        found.append(path)
        return found
