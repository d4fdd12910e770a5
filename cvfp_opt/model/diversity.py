"""Diversity losses: what keeps contexts apart while the fixed-point loss pulls them together."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from cvfp_opt.errors import DefinitionError, nearest


class DiversityLoss(Protocol):
    """A pure function of a minibatch of contexts; smaller means more diverse.

    Args:
        contexts: (B, D) new contexts, with gradient.
        running_mean: (D,) exponential moving average of earlier contexts, detached; None
            before the first one.

    Returns:
        A scalar.
    """

    def __call__(self, contexts: Tensor, running_mean: Tensor | None) -> Tensor: ...


def deviation(contexts: Tensor, running_mean: Tensor | None) -> Tensor:
    """``-mean_i ||c_i - mu||_2``, mu = moving average of contexts. Source: the CVFP seed.

    Of order -sqrt(D) (about -27 at D = 768), some 20 times the fixed-point loss. Zero where
    there is no average yet.
    """
    if running_mean is None:
        return contexts.new_zeros(()) * contexts.sum()  # zero, and still part of the graph
    return -torch.linalg.vector_norm(contexts - running_mean, dim=-1).mean()


def pairwise_distance(contexts: Tensor, running_mean: Tensor | None) -> Tensor:
    """``-mean_{i<j} ||c_i - c_j||_2 / sqrt(2 D)``; the seed's Option 4.

    The scale makes independent unit-variance contexts give about -1. Zero for a single context.
    """
    if contexts.shape[0] < 2:
        return contexts.new_zeros(()) * contexts.sum()
    return -F.pdist(contexts).mean() / math.sqrt(2 * contexts.shape[1])


def orthogonality(contexts: Tensor, running_mean: Tensor | None) -> Tensor:
    """``10 * mean_{i != j} cos(c_i, c_j)^2``: zero when all contexts are orthogonal.

    The one loss known to keep the rank while the net learns to contract.
    """
    batch = contexts.shape[0]
    if batch < 2:
        return contexts.new_zeros(()) * contexts.sum()
    unit = F.normalize(contexts, dim=-1)  # (B, D)
    cosines = unit @ unit.T  # (B, B)
    off_diagonal = cosines.square().sum() - cosines.diagonal().square().sum()
    return 10.0 * off_diagonal / (batch * (batch - 1))


DIVERSITY_LOSSES: Mapping[str, DiversityLoss] = {
    "orthogonality": orthogonality,
    "pairwise_distance": pairwise_distance,
    "deviation": deviation,
}


# Losses that compare the contexts of a minibatch: nothing to compare token by token.
NEED_BATCH = frozenset({"orthogonality", "pairwise_distance"})


@dataclass(frozen=True, kw_only=True)
class DiversityConfig:
    """Which diversity loss, and the memory of the running mean that `deviation` uses.

    Attributes:
        loss: a key of DIVERSITY_LOSSES.
        mean_momentum: weight of the old average per context, in [0, 1).
    """

    loss: str = "orthogonality"
    mean_momentum: float = 0.99

    def __post_init__(self) -> None:
        if self.loss not in DIVERSITY_LOSSES:
            raise DefinitionError(
                f"diversity.loss: unknown loss {self.loss!r}; "
                f"{nearest(self.loss, DIVERSITY_LOSSES)}"
            )
        if not 0.0 <= self.mean_momentum < 1.0:
            raise DefinitionError(
                f"diversity.mean_momentum: 0 <= momentum < 1 must hold, got {self.mean_momentum}"
            )


@torch.no_grad()
def updated_mean(running_mean: Tensor | None, contexts: Tensor, momentum: float) -> Tensor:
    """The moving average after ``contexts`` (B, D) were added one by one, in closed form.

    ``mu <- momentum * mu + (1 - momentum) * c`` for each row in turn; the first context ever
    starts the average.
    """
    if running_mean is None:
        running_mean, contexts = contexts[0], contexts[1:]
    powers = torch.arange(contexts.shape[0] - 1, -1, -1, device=contexts.device)
    weights = (1.0 - momentum) * momentum ** powers.to(contexts.dtype)  # (B,)
    return momentum ** contexts.shape[0] * running_mean + weights @ contexts
