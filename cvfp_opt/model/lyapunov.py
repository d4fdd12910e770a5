"""The Lyapunov exponent of the pass: whether the network forgets where it started."""

import torch
from torch import Tensor

from cvfp_opt.model.matrix_products import fast_linear
from cvfp_opt.model.network import ContextNetwork

NUM_PAIRS = 32
NUM_STEPS = 48
NUM_DROPPED = 16  # steps until the offset points in the direction that grows fastest
# Offset by the norm of the state: far above float32 rounding, small enough to be linear.
RELATIVE_OFFSET = 1e-3


@torch.no_grad()
def lyapunov_exponent(
    network: ContextNetwork,
    embeddings: Tensor,
    contexts: Tensor,
    generator: torch.Generator,
    num_pairs: int = NUM_PAIRS,
) -> float:
    """Estimate the mean log growth per token of a small difference between two reads.

    Pairs of trajectories start on the pass, a small random offset apart, and read the text from
    there; after each token the growth is noted and the offset scaled back. Below 0 two reads
    that start apart meet, so the pass has a fixed point; above 0 they part. Measured spread
    about 0.025. Method: Benettin et al., Meccanica 15 (1980).

    Args:
        network: the step.
        embeddings: (T, E) tokens of the pass.
        contexts: (T, D) contexts of that pass.
        generator: source of the offsets (CPU).
        num_pairs: trajectories to average over; more of them, less spread.

    Returns:
        The exponent in nats per token; -inf if the offsets vanish.
    """
    num_tokens, width = contexts.shape
    steps = min(NUM_STEPS, num_tokens - 1)
    dropped = min(NUM_DROPPED, steps // 2)
    lanes = min(num_pairs, num_tokens - steps)
    first = torch.linspace(1, num_tokens - steps, lanes, device=contexts.device).long()
    base = contexts[first - 1]  # (pairs, D)
    offset = torch.randn(lanes, width, generator=generator, dtype=base.dtype).to(base.device)
    direction = offset / torch.linalg.vector_norm(offset, dim=-1, keepdim=True)
    growth = torch.zeros(lanes, dtype=torch.float64, device=base.device)
    for step in range(steps):
        size = RELATIVE_OFFSET * torch.linalg.vector_norm(base, dim=-1, keepdim=True)
        size = size.clamp_min(torch.finfo(base.dtype).tiny)
        both = torch.cat([base, base + size * direction])  # (2 pairs, D)
        tokens = embeddings[first + step]  # (pairs, E)
        both = network(both, torch.cat([tokens, tokens]), fast_linear)
        base, moved = both[:lanes], both[lanes:]
        distance = torch.linalg.vector_norm(moved - base, dim=-1, keepdim=True)
        if not bool((distance > 0).all()):
            return float("-inf")
        if step >= dropped:
            growth += (distance / size).squeeze(-1).double().log()
        direction = (moved - base) / distance
    return (growth / (steps - dropped)).mean().item()
