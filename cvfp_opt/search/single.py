"""One training run with fixed parameters, without a study; and its network back from disk."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from cvfp_opt.errors import CheckpointError
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.search.definition import StudyDefinition
from cvfp_opt.store.checkpoints import Account, read_checkpoint, write_checkpoint
from cvfp_opt.training.result import TrainingResult


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
    definition = StudyDefinition.from_dict(account.definition)
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
