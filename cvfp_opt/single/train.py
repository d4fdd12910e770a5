"""One training run without a study: stopped and resumed; its network to disk and back."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from cvfp_opt.errors import CheckpointError, DefinitionError, StorageError
from cvfp_opt.escaping import excerpt, listed
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.single.run_card import describe_run
from cvfp_opt.store.doctor.finding import counted
from cvfp_opt.store.files.disclosure import disclosed_environment, disclosed_sections
from cvfp_opt.store.files.saved_networks import (
    Account,
    Checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from cvfp_opt.store.files.snapshots import SnapshotFile
from cvfp_opt.store.record.definition_sections import completed
from cvfp_opt.store.record.trial_attributes import StoredEnvironment
from cvfp_opt.training.data import Tokens
from cvfp_opt.training.events import Observer
from cvfp_opt.training.result import TrainingResult
from cvfp_opt.training.run import TrainingRun
from cvfp_opt.training.snapshot import Snapshot
from cvfp_opt.training.tokenizer import is_shipped, shipped_digest
from cvfp_opt.training.trainers import TRAINERS
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.objective import Objective, never
from cvfp_opt.tuning.snapshot_arrays import BITS_DEPEND_ON, arrays_of, snapshot_of
from cvfp_opt.tuning.stopping import SearchStopped
from cvfp_opt.version import __version__

# A run that is over sooner is not worth a snapshot of hundreds of megabytes.
MIN_SECONDS_KEPT = 30.0


class FileKeeper:
    """A Keeper that keeps a run's snapshot on disk, so that the same command goes on from it.

    Args:
        definition: searches nothing.
        tokens: of its text.
        environment: what the run's bits depend on besides, see tuning.environment.
        notify: given a line each on what was found and what could not be kept.

    Attributes:
        kept: iterations that a resumed run would not repeat.
    """

    def __init__(
        self,
        definition: StudyDefinition,
        tokens: Tokens,
        environment: StoredEnvironment,
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
        """Read the snapshot of this very run, if it was stopped; remove a damaged one."""
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
        kept = counted(self.kept, "iteration")
        self._notify(f"this run was stopped before: going on after {kept}")
        return snapshot_of(arrays, values)

    def save(self, snapshot: Snapshot) -> None:
        """Keep it, if the run is a long one; training goes on if the disk refuses."""
        if time.monotonic() - self._since < self._min_seconds:
            return
        try:
            self._file.write(arrays_of(snapshot.tensors), snapshot.values)
        except StorageError as error:
            self._notify(f"a stop would lose this run: {error}")
        else:
            self.kept = snapshot.values["iteration"]

    def stopped(self) -> None:
        """Say what a stop costs."""
        if self.kept:
            kept = f"{counted(self.kept, 'iteration')} {'are' if self.kept > 1 else 'is'} kept"
            self._notify(f"stopped; {kept}: type the same command again to go on")
        else:
            self._notify("stopped; nothing was kept: no iteration was over, or all was too short")

    def finished(self) -> None:
        """Remove the snapshot: the run came to its end, and its result is safe."""
        self._file.remove()


def run_resumable(run: TrainingRun, observe: Observer, keeper: FileKeeper) -> TrainingResult:
    """Train ``run`` to its end, from where it was stopped if it was.

    The snapshot stays until ``keeper.finished``: call it when the result is safe.

    Raises:
        SearchStopped: from ``observe``; the user was notified of what is kept.
    """
    try:
        return TRAINERS[run.training.trainer](run, observe, never, keeper)
    except SearchStopped:
        keeper.stopped()
        raise


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A run that came to its end, with what it began from.

    Attributes:
        objective: its definition searches nothing.
        network: trained.
        result: of the run.
        environment: it ran on.
        seed, number: what all that is random came from, see store.record.identity.
    """

    objective: Objective
    network: ContextNetwork
    result: TrainingResult
    environment: StoredEnvironment
    seed: int
    number: int = 0


def save_network(
    folder: Path, trained: Trained, *, origin: Mapping[str, Any] | None = None, card: str = ""
) -> None:
    """Write a trained network, and what it takes to use it, as a checkpoint.

    The folder may be published as it is: it names no machine and no folder of its author's.

    Args:
        folder: a new one.
        trained: what to write.
        origin: to add to the account's.
        card: the model card, Markdown; "": that of a run without a study.

    Raises:
        CheckpointError: the folder can't be written.
    """
    tokenizer = _own_tokenizer(trained.objective.tokens)
    table = trained.objective.embeddings(trained.number, seed=trained.seed)
    checkpoint = Checkpoint(
        account=account_of(
            trained.objective,
            seed=trained.seed,
            number=trained.number,
            result=trained.result.to_dict(),
            environment=trained.environment,
            origin=origin,
        ),
        weights=arrays_of(trained.network.state_dict()),
        embeddings=arrays_of({"table": table})["table"],
        tokenizer=tokenizer,
        card=card or describe_run(trained, folder.name),
    )
    write_checkpoint(folder, checkpoint)


def account_of(
    objective: Objective,
    *,
    seed: int,
    number: int,
    result: Mapping[str, Any],
    environment: Mapping[str, Any],
    origin: Mapping[str, Any] | None = None,
) -> Account:
    """Give the account of a trained network.

    Args:
        objective: its definition searches nothing.
        seed, number: see ``Trained``.
        result: of its run, as plain values.
        environment: that it ran on.
        origin: to add to what is known of where it comes from.
    """
    definition, tokens = objective.definition, objective.tokens
    tokenizer = _own_tokenizer(tokens)
    known = {"version": __version__, "sha256": shipped_digest()}
    if tokenizer:
        known = {"sha256": hashlib.sha256(tokenizer.encode()).hexdigest()}
    return Account(
        definition=disclosed_sections(definition.to_dict()),
        parameters=asdict(definition.hyperparameters()),
        result=dict(result),
        environment=disclosed_environment(environment),
        tokenizer=known,
        origin={
            "seed": seed,
            "number": number,
            "data_digest": tokens.digest,
            "sources": disclosed_sections(tokens.sources),
            **(origin or {}),
        },
    )


def _own_tokenizer(tokens: Tokens) -> str:
    """Give the JSON of a text's tokenizer; "" for the one that the package ships."""
    return "" if is_shipped(tokens.tokenizer) else tokens.tokenizer.to_str()


def load_network(folder: Path) -> tuple[ContextNetwork, StudyDefinition, Checkpoint]:
    """Read a network back from a checkpoint, of any format.

    Raises:
        CheckpointError: unreadable; its definition is none; or the weights do not fit it.
        DefinitionError: its definition searches something.
    """
    checkpoint = read_checkpoint(folder)
    try:
        definition = StudyDefinition.from_dict(completed(checkpoint.account.definition))
    except DefinitionError as error:
        raise CheckpointError(f"{folder}: its definition is none: {excerpt(error)}") from None
    model = definition.model
    width = model.context_size + model.embedding_size
    # before any memory is taken for it: the definition is as untrusted as the rest
    expected = model.num_layers * (width * width + 3 * width)
    found = sum(array.size for array in checkpoint.weights.values())
    if found != expected:
        raise CheckpointError(
            f"{folder}: weights of another size or architecture than its definition: "
            f"{expected} numbers are required, there are {found}"
        )
    network = ContextNetwork(
        model,
        layernorm_mix=definition.hyperparameters().layernorm_mix,
        generator=torch.Generator().manual_seed(0),
    )
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    there = {name: array.shape for name, array in sorted(checkpoint.weights.items())}
    if other := [name for name, shape in shapes.items() if there.get(name) != shape]:
        raise CheckpointError(
            f"{folder}: weights of another size or architecture than its definition: "
            f"{listed(f'{name} {shapes[name]}' for name in other)} are required, there are "
            + (listed(f"{n} {shape}" for n, shape in there.items() if shapes.get(n) != shape))
        )
    network.load_state_dict(
        {name: torch.from_numpy(array) for name, array in checkpoint.weights.items()}
    )
    return network, definition, checkpoint
