"""Copying artifacts from one store to another."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from optuna.artifacts.exceptions import ArtifactNotFound

from cvfp_opt.errors import CvfpOptError, StorageError
from cvfp_opt.store.files.artifact_stores import ArtifactStore

CHUNK = 2**20


class Reader(Protocol):
    """A source of artifacts; every ArtifactStore is one."""

    def open_reader(self, artifact_id: str) -> BinaryIO:
        """Open an artifact. Raises Optuna's ArtifactNotFound if there is none of that id."""


@dataclass(frozen=True)
class Several:
    """A reader of several stores: from an artifact's own, or else from the first that has it.

    Attributes:
        readers: in the order in which they are asked.
        homes: by id of an artifact, the place among them that is asked first.
    """

    readers: Sequence[Reader]
    homes: Mapping[str, int] = field(default_factory=dict)

    def open_reader(self, artifact_id: str) -> BinaryIO:
        home = self.homes.get(artifact_id, 0)
        for reader in (self.readers[home], *self.readers):
            with suppress(ArtifactNotFound):
                return reader.open_reader(artifact_id)
        raise ArtifactNotFound(artifact_id)


@contextmanager
def placed(
    artifacts: Mapping[str, bool], source: Reader, target: ArtifactStore
) -> Iterator[list[str]]:
    """Copy artifacts, for as long as what refers to them is written.

    Leaves the ``with`` block by an exception: those that were not there before are removed again.
    A kill may leave some that nothing refers to; the next attempt finds and uses them.

    Args:
        artifacts: ids, and which last; of one that does not, whatever is there is kept: it is a
            checkpoint of the same trial, and somebody may be writing to it.
        source, target: from where to where.

    Yields:
        ids of those that the source does not have.

    Raises:
        StorageError: another artifact of the same id is there.
    """
    written: list[str] = []
    missing: list[str] = []
    try:
        for artifact_id, lasts in artifacts.items():
            there = _digest(target, artifact_id)
            if there is None:
                try:
                    with closing(source.open_reader(artifact_id)) as file:
                        written.append(artifact_id)
                        target.write(artifact_id, file)
                except ArtifactNotFound:
                    missing.append(artifact_id)
            elif lasts and _digest(source, artifact_id) not in (there, None):
                raise StorageError(
                    f"artifact {artifact_id}: another file of that id is there already; see which "
                    "one is damaged, or name another folder with --artifacts"
                )
        yield missing
    except BaseException:
        for artifact_id in written:
            with suppress(ArtifactNotFound, CvfpOptError):
                target.remove(artifact_id)
        raise


def _digest(reader: Reader, artifact_id: str) -> str | None:
    """Compute an artifact's SHA-256; None if it does not exist."""
    digest = hashlib.sha256()
    try:
        with closing(reader.open_reader(artifact_id)) as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    except ArtifactNotFound:
        return None
    return digest.hexdigest()
