"""Runs that were stopped between two iterations: one file each, below ``storage/unfinished``."""

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from cvfp_opt.errors import StorageError

FORMAT = "1"
FOLDER = Path("storage") / "unfinished"

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class SnapshotFile:
    """Where one run's snapshot lies; ``key`` identifies everything that decides the run."""

    key: str

    @property
    def path(self) -> Path:
        """In the current folder, as the default database is."""
        return Path.cwd() / FOLDER / f"{self.key[:32]}.safetensors"

    def read(self) -> tuple[Arrays, dict[str, Any]] | None:
        """The snapshot; None if there is none.

        Raises:
            StorageError: there is one, but it is not what was written.
        """
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="np") as file:
                metadata = file.metadata() or {}
                names = list(file.keys())
                arrays: Arrays = {name: file.get_tensor(name) for name in names}
        except (OSError, SafetensorError) as error:
            raise StorageError(f"{self.path}: cannot be read: {error}") from None
        text = metadata.get("values", "")
        if metadata.get("format") != FORMAT or metadata.get("sha256") != _digest(arrays, text):
            raise StorageError(f"{self.path}: damaged, or of another format")
        return arrays, json.loads(text)

    def write(self, arrays: Arrays, values: dict[str, Any]) -> None:
        """Put this snapshot in the place of the one before, in one move.

        Raises:
            StorageError: the disk refuses.
        """
        text = json.dumps(values, allow_nan=False)
        metadata = {"format": FORMAT, "values": text, "sha256": _digest(arrays, text)}
        temporary = self.path.with_suffix(f".{os.getpid()}.tmp")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            save_file(arrays, temporary, metadata=metadata)
            os.replace(temporary, self.path)
        except (OSError, SafetensorError) as error:
            with suppress(OSError):
                temporary.unlink()
            raise StorageError(f"{self.path}: cannot be written: {error}") from None

    def remove(self) -> None:
        """The run has ended; nothing is left to go on from."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
            self.path.parent.rmdir()  # if no other run is unfinished


def _digest(arrays: Arrays, text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()
