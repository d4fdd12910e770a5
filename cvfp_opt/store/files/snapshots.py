"""Snapshots of stopped runs without a study: a file each, below ``storage/unfinished``."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.artifacts.exceptions import ArtifactNotFound

from cvfp_opt.store.files.folder import FolderStore
from cvfp_opt.store.files.snapshot_format import Arrays, encode, read_arrays, read_head

FOLDER = Path("storage") / "unfinished"


@dataclass(frozen=True, kw_only=True)
class SnapshotFile:
    """The file of one run's snapshot; ``key`` identifies everything that decides the run."""

    key: str

    @property
    def path(self) -> Path:
        """The path, in the current folder as the default database's is."""
        return self._store.path(self._name)

    def read(self) -> tuple[Arrays, dict[str, Any]] | None:
        """Read the snapshot; None if there is none.

        Raises:
            StorageError: there is one, but it is not what was written.
        """
        try:
            with self._store.open_reader(self._name) as file:
                head = read_head(file, str(self.path))
                return read_arrays(file, head, str(self.path)), head.values
        except ArtifactNotFound:
            return None

    def write(self, arrays: Arrays, values: dict[str, Any]) -> None:
        """Write a snapshot in the place of the former one, in one move.

        Raises:
            StorageError: the disk refuses.
        """
        self._store.write(self._name, encode(arrays, values))

    def remove(self) -> None:
        """Remove the snapshot, since the run has ended."""
        with suppress(OSError):
            for path in (self.path, *self._store.leftovers()):
                path.unlink(missing_ok=True)
            self.path.parent.rmdir()  # if no other run is unfinished

    @property
    def _store(self) -> FolderStore:
        return FolderStore(Path.cwd() / FOLDER)

    @property
    def _name(self) -> str:
        return f"{self.key[:32]}.safetensors"
