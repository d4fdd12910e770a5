"""One training run without a study: stopped and resumed; its network to disk and back."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from cvfp_opt.errors import CheckpointError, StorageError
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.search.definition import StudyDefinition
from cvfp_opt.search.keeping import BITS_DEPEND_ON, arrays_of, snapshot_of
from cvfp_opt.search.objective import never
from cvfp_opt.search.stopping import SearchStopped
from cvfp_opt.store.checkpoints import Account, read_checkpoint, write_checkpoint
from cvfp_opt.store.records import completed
from cvfp_opt.store.snapshots import SnapshotFile
from cvfp_opt.training.data import Tokens
from cvfp_opt.training.events import Observer
from cvfp_opt.training.result import TrainingResult
from cvfp_opt.training.run import TrainingRun
from cvfp_opt.training.snapshot import Snapshot
from cvfp_opt.training.trainers import TRAINERS

# A run that is over sooner is not worth a file of hundreds of megabytes.
MIN_SECONDS_KEPT = 30.0


class FileKeeper:
    """A Keeper that keeps a run's snapshot on disk, so that the same command goes on from it.

    Args:
        definition: searches nothing.
        tokens: of its text.
        environment: what the run's bits depend on besides, see search.environment.
        notify: told, in a line each, what was found and what could not be kept.

    Attributes:
        kept: iterations that a resumed run would not repeat.
    """

    def __init__(
        self,
        definition: StudyDefinition,
        tokens: Tokens,
        environment: dict[str, Any],
        notify: Callable[[str], None],
    ) -> None:
        self.kept = 0
        parts = [
            definition.digest(),
            tokens.digest,
            tokens.sources,
            *(environment.get(key) for key in BITS_DEPEND_ON),
        ]
        key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        self._file = SnapshotFile(key=key)
        self._notify = notify
        self._since = time.monotonic()
        self._min_seconds = MIN_SECONDS_KEPT

    def load(self) -> Snapshot | None:
        """The snapshot of this very run, if it was stopped before; a damaged one is put aside."""
        try:
            found = self._file.read()
        except StorageError as error:
            self._notify(f"an unfinished run cannot be used, so it begins anew: {error}")
            self._file.remove()
            return None
        if found is None:
            return None
        arrays, values = found
        self.kept, self._min_seconds = values["iteration"], 0.0
        self._notify(f"this run was stopped before: going on after {self.kept} iterations")
        return snapshot_of(arrays, values)

    def save(self, snapshot: Snapshot) -> None:
        """Keep it, if the run is a long one; training goes on if the disk refuses."""
        if time.monotonic() - self._since < self._min_seconds:
            return
        try:
            self._file.write(arrays_of(snapshot), snapshot.values)
        except StorageError as error:
            self._notify(f"a stop would lose this run: {error}")
        else:
            self.kept = snapshot.values["iteration"]

    def stopped(self) -> None:
        """Say what a stop costs."""
        if self.kept:
            count = f"{self.kept} iterations are" if self.kept > 1 else "1 iteration is"
            self._notify(f"stopped; {count} kept: type the same command again to go on")
        else:
            self._notify("stopped; nothing was kept: no iteration was over, or all was too short")

    def finished(self) -> None:
        """The run came to its end, and what it gave is safe."""
        self._file.remove()


def run_resumable(run: TrainingRun, observe: Observer, keeper: FileKeeper) -> TrainingResult:
    """Train ``run`` to its end, from where it was stopped if it was.

    The snapshot stays until ``keeper.finished``: call it when the result is safe.

    Raises:
        SearchStopped: from ``observe``; what is kept was told.
    """
    try:
        return TRAINERS[run.training.trainer](run, observe, never, keeper)
    except SearchStopped:
        keeper.stopped()
        raise


def save_network(
    folder: Path,
    network: ContextNetwork,
    definition: StudyDefinition,
    result: TrainingResult,
    environment: dict[str, Any],
) -> None:
    """Write a trained network as a checkpoint. Raises CheckpointError."""
    weights = {k: v.detach().cpu().contiguous().numpy() for k, v in network.state_dict().items()}
    account = Account(
        definition=definition.to_dict(),
        parameters=asdict(definition.hyperparameters()),
        result=result.to_dict(),
        environment=environment,
    )
    write_checkpoint(folder, weights, account)


def load_network(folder: Path) -> tuple[ContextNetwork, StudyDefinition, Account]:
    """A network back from a checkpoint.

    Raises:
        CheckpointError: unreadable, or the weights do not fit the definition's sizes.
    """
    weights, account = read_checkpoint(folder)
    definition = StudyDefinition.from_dict(completed(account.definition))
    network = ContextNetwork(
        definition.model,
        layernorm_mix=definition.hyperparameters().layernorm_mix,
        generator=torch.Generator().manual_seed(0),
    )
    try:
        network.load_state_dict({name: torch.from_numpy(a) for name, a in weights.items()})
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{folder}: weights of another size or architecture than its definition: {reason}"
        ) from None
    return network, definition, account
