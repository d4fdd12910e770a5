"""Artifacts as files of a folder: each is whole, or not there.

Not Optuna's FileSystemArtifactStore, which writes to the final name and lets others see what is
half written; and not under its Backoff, which repeats a removal that was done, up to ten times.
"""

import os
import re
import shutil
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from optuna.artifacts.exceptions import ArtifactNotFound

from cvfp_opt.disk import sync_folder, what_it_is
from cvfp_opt.errors import StorageError

_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,199}")
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")
# A writer touches its file several times a second, even on a slow disk.
LEFTOVER_SECONDS = 3600.0
_CHUNK = 1 << 20


def checked_id(artifact_id: str) -> str:
    """``artifact_id``, if it can name nothing but a file of its folder.

    Raises:
        StorageError: it is empty, too long, hidden, or has other characters than a name needs.
    """
    if not _ID.fullmatch(artifact_id):
        raise StorageError(
            "an artifact's id: up to 200 letters, digits, '.', '_' and '-' are required, the "
            f"first one a letter or digit, got {artifact_id[:80]!r}"
        )
    return artifact_id


@dataclass(frozen=True)
class FolderStore:
    """An ArtifactStore; its files and its folder are for their owner only.

    Attributes:
        folder: made by the first write.
    """

    folder: Path

    def path(self, artifact_id: str) -> Path:
        """Where an artifact lies. Raises StorageError for what is no id."""
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
        temporary = self.folder / f".{artifact_id}.{uuid.uuid4().hex}.tmp"
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(temporary, "xb", opener=_private) as file:
                shutil.copyfileobj(content_body, file, _CHUNK)
                file.flush()
                os.fsync(file.fileno())  # else the new name may come to disk before the content
            os.replace(temporary, path)
            sync_folder(self.folder)
        except BaseException as error:  # a stop, too, leaves nothing behind
            with suppress(OSError):
                temporary.unlink()
            if isinstance(error, OSError):
                reason = error.strerror or error
                raise StorageError(f"{path}: cannot be written: {reason}") from None
            raise

    def remove(self, artifact_id: str) -> None:
        path = self.path(artifact_id)
        try:
            path.unlink()
        except FileNotFoundError:
            raise ArtifactNotFound(f"{path}: does not exist") from None
        except OSError as error:
            raise StorageError(f"{path}: cannot be removed: {error.strerror}") from None

    def leftovers(self) -> list[Path]:
        """Files of writers that were killed: nobody has written to them for LEFTOVER_SECONDS."""
        before = time.time() - LEFTOVER_SECONDS
        found = []
        with suppress(FileNotFoundError):  # the folder, or a file that was moved just now
            for path in sorted(self.folder.iterdir()):
                with suppress(FileNotFoundError):
                    if _TEMPORARY.fullmatch(path.name) and path.stat().st_mtime < before:
                        found.append(path)
        return found


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)
