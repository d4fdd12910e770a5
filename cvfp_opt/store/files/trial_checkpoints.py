"""Checkpoints of a running trial: snapshots in an artifact store, the last two of them.

They take turns in two places, whose ids follow from the trial's identity. So the older one is
replaced, not added to; whoever takes the trial over finds both with nothing but the identity; and
nothing is left behind that could not be named. A worker that lost the trial and does not know it
yet can at worst put an older checkpoint of the same trial there.
"""

from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

from optuna.artifacts.exceptions import ArtifactNotFound

from cvfp_opt.errors import StorageError
from cvfp_opt.store.files.artifact_names import artifact_attribute
from cvfp_opt.store.files.artifact_stores import ArtifactStore
from cvfp_opt.store.files.snapshot_format import Arrays, Head, encode, read_arrays, read_head

# Endings of the two ids; optuna-dashboard takes ids of hexadecimal digits and "-" only.
_PLACES = ("1", "2")
BINARY = "application/octet-stream"


class TrialCheckpoints:
    """The checkpoints of one trial.

    Args:
        store: where they lie.
        trial: its uuid, see record.identity.

    Attributes:
        ids: of their artifacts, whether there or not.
        seen: those that ``load`` found or ``save`` wrote.
    """

    def __init__(self, store: ArtifactStore, trial: str) -> None:
        self.ids = tuple(f"{trial}-{place}" for place in _PLACES)
        self.seen: set[str] = set()
        self._store = store
        self._iterations: dict[str, int] = {}  # of those known to be whole, by id

    def load(
        self, refusal: Callable[[dict[str, Any]], str], notify: Callable[[str], None]
    ) -> tuple[Arrays, dict[str, Any]] | None:
        """Load the newest checkpoint that is whole and acceptable; None if there is none.

        Args:
            refusal: the reason against a checkpoint with these values; "" for nothing. Those
                that pass have an ``iteration``.
            notify: called with a line for each that is passed over.
        """
        heads: dict[str, Head] = {}
        for artifact_id in self.ids:
            try:
                heads[artifact_id] = self._head(artifact_id, refusal)
            except ArtifactNotFound:
                continue
            except StorageError as error:
                notify(f"a checkpoint is passed over: {error}")
            self.seen.add(artifact_id)
        self._iterations = {key: head.values["iteration"] for key, head in heads.items()}
        for artifact_id in sorted(heads, key=self._iterations.__getitem__, reverse=True):
            try:
                return self._read(artifact_id)
            except (StorageError, ArtifactNotFound) as error:
                notify(f"a checkpoint is passed over: {error}")
                del self._iterations[artifact_id]  # its place is the next to be written to
        return None

    def save(self, arrays: Arrays, values: dict[str, Any]) -> tuple[str, str]:
        """Save a checkpoint in the place of the older of the two.

        Args:
            arrays: shared while it is written.
            values: plain JSON with ``iteration``.

        Returns:
            Key and value of the trial's system attribute, by which Optuna's tools find it.

        Raises:
            StorageError: the store refuses; the newer of the two is still there.
        """
        chosen = min(self.ids, key=lambda artifact_id: self._iterations.get(artifact_id, -1))
        self._store.write(chosen, encode(arrays, values))
        self._iterations[chosen] = values["iteration"]
        self.seen.add(chosen)
        return artifact_attribute(chosen, f"checkpoint-{values['iteration']}.safetensors", BINARY)

    def present(self) -> list[str]:
        """List the ids of those that exist, whole or not. Raises StorageError."""
        found = []
        for artifact_id in self.ids:
            with suppress(ArtifactNotFound), closing(self._store.open_reader(artifact_id)):
                found.append(artifact_id)
        return found

    def remove(self) -> None:
        """Remove all checkpoints. Raises StorageError."""
        for artifact_id in self.present():
            with suppress(ArtifactNotFound):
                self._store.remove(artifact_id)
        self._iterations.clear()

    def _head(self, artifact_id: str, refusal: Callable[[dict[str, Any]], str]) -> Head:
        """Read the head of an acceptable one. Raises StorageError, ArtifactNotFound."""
        where = f"checkpoint {artifact_id}"
        with closing(self._store.open_reader(artifact_id)) as file:
            head = read_head(file, where)
        reason = refusal(head.values)
        if reason:
            raise StorageError(f"{where}: {reason}")
        return head

    def _read(self, artifact_id: str) -> tuple[Arrays, dict[str, Any]]:
        where = f"checkpoint {artifact_id}"
        with closing(self._store.open_reader(artifact_id)) as file:
            head = read_head(file, where)
            return read_arrays(file, head, where), head.values
