"""Diversity losses: they keep contexts apart while the fixed-point loss pulls them together."""

import math
from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from cvfp_opt.model.custom_functions import is_foreign, load_function


class DiversityLoss(Protocol):
    """The interface of a diversity loss: a pure function; smaller means more diverse.

    Args:
        contexts: (B, D) new contexts, with gradient.
        running_mean: (D,) exponential moving average of earlier contexts, detached; None
            before the first one.

    Returns:
        A scalar.
    """

    def __call__(self, contexts: Tensor, running_mean: Tensor | None) -> Tensor: ...


def deviation(contexts: Tensor, running_mean: Tensor | None) -> Tensor:
    """Return ``-mean_i ||c_i - mu||_2``, mu the moving average of contexts.

    The original report's loss.

    Of order -sqrt(D) (about -27 at D = 768), some 20 times the fixed-point loss. Zero where
    there is no average yet.
    """
    if running_mean is None:
        return contexts.new_zeros(()) * contexts.sum()  # zero, and still part of the graph
    distances: Tensor = torch.linalg.vector_norm(contexts - running_mean, dim=-1)
    return -distances.mean()


def pairwise_distance(contexts: Tensor, running_mean: Tensor | None) -> Tensor:
    """Return ``-mean_{i<j} ||c_i - c_j||_2 / sqrt(2 D)``, the original report's Option 4.

    The scale makes independent unit-variance contexts give about -1. Zero for a single context.
    """
    if contexts.shape[0] < 2:
        return contexts.new_zeros(()) * contexts.sum()
    return -F.pdist(contexts).mean() / math.sqrt(2 * contexts.shape[1])


def orthogonality(contexts: Tensor, running_mean: Tensor | None) -> Tensor:
    """Return ``10 * mean_{i != j} cos(c_i, c_j)^2``: zero when all contexts are orthogonal.

    Keeps the rank while the network learns to contract, as `coding_rate` does.
    """
    batch = contexts.shape[0]
    if batch < 2:
        return contexts.new_zeros(()) * contexts.sum()
    unit = F.normalize(contexts, dim=-1)  # (B, D)
    cosines = unit @ unit.T  # (B, B)
    off_diagonal = cosines.square().sum() - cosines.diagonal().square().sum()
    return 10.0 * off_diagonal / (batch * (batch - 1))


def coding_rate(contexts: Tensor, running_mean: Tensor | None) -> Tensor:
    """Return ``-logdet(I + a U U^T) / (B log(1 + a))`` with a = D / (B eps^2), eps = 0.5.

    U are the unit contexts.

    A log-determinant: -1 for orthogonal contexts. Source: Yu et al., "Learning Diverse and
    Discriminative Representations via the Principle of Maximal Coding Rate Reduction", 2020.
    """
    batch, width = contexts.shape
    unit = F.normalize(contexts, dim=-1)  # (B, D)
    scale = width / (batch * 0.25)
    gram = torch.eye(batch, dtype=unit.dtype, device=unit.device) + scale * (unit @ unit.T)
    return -torch.logdet(gram) / (batch * math.log1p(scale))


def uniformity(contexts: Tensor, running_mean: Tensor | None) -> Tensor:
    """Return ``log mean_{i < j} exp(-2 ||u_i - u_j||^2)``, u the unit contexts.

    -4 if all are orthogonal.

    Source: Wang & Isola, "Understanding Contrastive Representation Learning through Alignment and
    Uniformity on the Hypersphere", ICML 2020. Zero for a single context.
    """
    if contexts.shape[0] < 2:
        return contexts.new_zeros(()) * contexts.sum()
    squares = F.pdist(F.normalize(contexts, dim=-1)).square()
    return torch.logsumexp(-2.0 * squares, dim=0) - math.log(len(squares))


DIVERSITY_LOSSES: Mapping[str, DiversityLoss] = {
    "orthogonality": orthogonality,
    "pairwise_distance": pairwise_distance,
    "deviation": deviation,
    "coding_rate": coding_rate,
    "uniformity": uniformity,
}


# Minibatches that the scale is fitted on, of 25 at the standard size: a few milliseconds each.
SCALE_MINIBATCHES = 8


def diversity_loss(name: str) -> DiversityLoss:
    """Look up the loss of that name; import and try one of the user's own.

    Raises:
        DefinitionError: it cannot be imported, or does not fit.
    """
    if not is_foreign(name):
        return DIVERSITY_LOSSES[name]
    signature = (
        "a function of (contexts: (B, D) tensor with gradient, running_mean: (D,) tensor or None) "
        "that returns a scalar tensor with gradient"
    )
    return load_function("diversity.loss", name, signature, _try_loss)


def _try_loss(loss: DiversityLoss) -> str | None:
    """Call a loss on a few small contexts; return what is wrong with its value, or None."""
    generator = torch.Generator().manual_seed(0)
    contexts = torch.randn(4, 8, generator=generator).requires_grad_()
    for mean in (None, torch.zeros(8)):
        value = loss(contexts, mean)
        if not isinstance(value, Tensor):
            return f"a {type(value).__name__}"
        if value.shape != () or not value.requires_grad:
            shape, gradient = tuple(value.shape), "with" if value.requires_grad else "without"
            return f"a tensor of shape {shape} {gradient} gradient"
    return None


@torch.no_grad()
def updated_mean(running_mean: Tensor | None, contexts: Tensor, momentum: float) -> Tensor:
    """Return the moving average after ``contexts`` (B, D) were added one by one.

    ``mu <- momentum * mu + (1 - momentum) * c`` for each row in turn; the first context ever
    starts the average.
    """
    if running_mean is None:
        running_mean, contexts = contexts[0], contexts[1:]
    powers = torch.arange(contexts.shape[0] - 1, -1, -1, device=contexts.device)
    weights = (1.0 - momentum) * momentum ** powers.to(contexts.dtype)  # (B,)
    return momentum ** contexts.shape[0] * running_mean + weights @ contexts


def untrained_scale(
    loss: DiversityLoss, contexts: Tensor, previous: Tensor, minibatch_size: int
) -> float:
    """Compute the factor that makes a diversity loss pull as hard as the fixed-point loss.

    ``mean ||d cvfp / d C|| / mean ||d loss / d C||`` over minibatches of the untrained network's
    contexts, cvfp being the raw MSE between its first two passes. With it, ``dist_reg_weight`` w
    starts every training with (1 - w) of the one pull and w of the other.

    Args:
        loss: a DiversityLoss; what it takes for the running mean is the mean context.
        contexts, previous: (T, D) second and first pass of the untrained network.
        minibatch_size: B, as in training; the minibatches are spread evenly over the text.

    Returns:
        The factor; infinite or NaN where the loss has no gradient.
    """
    stride = max(1, contexts.shape[0] // minibatch_size)
    mean = contexts.mean(dim=0)
    pulls = [0.0, 0.0]
    for first in range(min(stride, SCALE_MINIBATCHES)):
        chosen = slice(first, first + stride * minibatch_size, stride)
        batch = contexts[chosen].detach().requires_grad_()  # (B, D)
        for i, value in enumerate((F.mse_loss(batch, previous[chosen]), loss(batch, mean))):
            (gradient,) = torch.autograd.grad(value, batch)
            pulls[i] += torch.linalg.vector_norm(gradient).item()
    return pulls[0] / pulls[1] if pulls[1] > 0 else math.inf
