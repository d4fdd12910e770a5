"""The sizes and the setting of the checks and measurements of a device."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from cvfp_opt.model.config import ModelConfig
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.definition_file import read_sections, resolve_definition
from cvfp_opt.tuning.objective import Objective


@dataclass(frozen=True, kw_only=True)
class Size:
    """The sizes of all checks and measurements.

    Attributes:
        model: sizes of the network.
        minibatch: rows of a training step.
        plain_tokens, tokens: read by the plain pass, and by all others.
        pass_lanes, trial_lanes: how many side by side.
        num_trials: trials of the whole search; 0 to leave it out.
        search_lanes: lanes of the whole search.
        settings: changes to `recommended`.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    minibatch: int = 256
    plain_tokens: int = 256
    tokens: int = 1024
    pass_lanes: Sequence[int] = (1, 2, 4, 8, 16, 32, 64)
    trial_lanes: Sequence[int] = (1, 8, 16, 32)
    num_trials: int = 50
    search_lanes: int = 16
    settings: Sequence[str] = ()


STANDARD = Size()
SMALL = Size(
    model=ModelConfig(context_size=8, embedding_size=6, num_layers=2),
    minibatch=16,
    plain_tokens=16,
    tokens=32,
    pass_lanes=(1, 2),
    trial_lanes=(1, 2),
    num_trials=2,
    search_lanes=2,
    settings=(
        "model.context_size=8",
        "model.embedding_size=6",
        "model.num_layers=2",
        "training.num_iterations=4",
        "training.minibatch_size=16",
        "data.train_tokens=64",
    ),
)
# One point for all trials that are timed: the good one of docs/experiments.md, so strict that
# nothing ends early.
POINT = {
    "dist_reg_weight": 0.85,
    "phase1_learning_rate": 0.002,
    "phase1_convergence_threshold": 0.05,
    "layernorm_mix": 1.0,
}
WHOLE = ("training.min_converged_ratio=1.0", "search.pruner=none")


def make_objective(device: torch.device, settings: Sequence[str]) -> Objective:
    """Make the recommended study's objective."""
    definition = recommended(settings)
    return Objective(definition=definition, tokens=definition.load_tokens(), device=device)


def recommended(settings: Sequence[str]) -> StudyDefinition:
    """Take the recommended definition, changed."""
    return resolve_definition(read_sections("recommended"), settings, where="recommended")
