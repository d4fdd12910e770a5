"""Runs that were stopped between two iterations: one file each, below ``storage/unfinished``."""

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
    """Where one run's snapshot lies; ``key`` identifies everything that decides the run."""

    key: str

    @property
    def path(self) -> Path:
        """In the current folder, as the default database is."""
        return self._store.path(self._name)

    def read(self) -> tuple[Arrays, dict[str, Any]] | None:
        """The snapshot; None if there is none.

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
        """Put this snapshot in the place of the one before, in one move.

        Raises:
            StorageError: the disk refuses.
        """
        self._store.write(self._name, encode(arrays, values))

    def remove(self) -> None:
        """The run has ended; nothing is left to go on from."""
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
