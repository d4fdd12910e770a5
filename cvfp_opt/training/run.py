"""The input of a trainer, its stopwatch, and the digest of its weights."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cvfp_opt.model.config import DiversityConfig
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.model.schedules import ScheduleConfig
from cvfp_opt.training.compute import ALONE, Compute
from cvfp_opt.training.config import Hyperparameters, ObjectiveConfig, TrainingConfig
from cvfp_opt.training.downstream import Downstream


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """Everything that decides a training run.

    Attributes:
        network: freshly initialised; trained in place.
        train: (T, E) embeddings of the training text.
        held_out: (V, E) embeddings of the text that follows it.
        num_validation: length of the validation split if that is the tail of the training
            text; 0 if it is the held-out text.
        parameters: the trial's choice.
        threshold: MSE below which a token counts as converged.
        minibatch_generator, audit_generator: sources of the order of minibatches and of the
            Lyapunov probe's offsets (CPU).
        downstream: what a next-token probe needs at the end; None where there is none.
        exponents_after: iterations after which the Lyapunov exponent is estimated.
        compute: does the heavy work: for this run alone, or for several at once.
    """

    network: ContextNetwork
    train: Tensor
    held_out: Tensor
    num_validation: int
    parameters: Hyperparameters
    threshold: float
    training: TrainingConfig
    diversity: DiversityConfig
    schedule: ScheduleConfig
    objective: ObjectiveConfig
    minibatch_generator: torch.Generator
    audit_generator: torch.Generator
    downstream: Downstream | None = None
    exponents_after: frozenset[int] = frozenset()
    compute: Compute = ALONE


@dataclass
class Stopwatch:
    """Wall seconds per name."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - started
            self.seconds[name] = self.seconds.get(name, 0.0) + spent


def weights_digest(network: ContextNetwork) -> str:
    """Return the SHA-256, hexadecimal, over all parameters in order."""
    digest = hashlib.sha256()
    for name, parameter in network.named_parameters():
        digest.update(name.encode())
        digest.update(parameter.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
