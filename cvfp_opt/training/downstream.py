"""The use of contexts downstream: what a next-token probe reads of a network."""

from collections.abc import Callable

import torch
from torch import Tensor

from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.model.passes import Chains, sequential_pass, zero_context
from cvfp_opt.model.probe import NextTokens, ProbeResult, fit_probe
from cvfp_opt.training.data import Tokens


def next_tokens(tokens: Tokens) -> NextTokens:
    """Give the token that follows each position; the last token of all has none after it."""
    ids, count = torch.cat([tokens.train, tokens.held_out]), len(tokens.train)
    return NextTokens(
        train=ids[1 : count + 1],
        held_out=ids[count + 1 :],
        vocabulary_size=tokens.vocabulary_size,
    )


def read_contexts(
    network: ContextNetwork,
    embeddings: Tensor,
    on_tokens: Callable[[int], None] | None = None,
    chains: Chains | None = None,
) -> Tensor:
    """Read both texts once, with frozen weights, from the zero context to the end.

    Args:
        network: with its final weights.
        embeddings: (T + V, E) of the training text and of the held-out one that follows it.
        on_tokens, chains: see ``sequential_passes``.

    Returns:
        (T + V, D) contexts.

    Raises:
        ContextOverflow: contexts explode.
    """
    start = zero_context(network)
    return sequential_pass(network, embeddings, start, on_tokens, chains=chains)


def beside_embedding(contexts: Tensor, embeddings: Tensor) -> Tensor:
    """Put contexts (N, D) and embeddings (N, E) of their tokens side by side: (N, D + E)."""
    return torch.cat([contexts, embeddings], dim=1)


def probe_features(
    features: Tensor,
    targets: NextTokens,
    generator: torch.Generator,
    learning_rate: float | None = None,
) -> ProbeResult:
    """Fit a probe to features (T + V, F) of both texts; the last one predicts nothing.

    Args:
        features: of the training text, and of the held-out one that follows it.
        targets, generator, learning_rate: see ``fit_probe``.
    """
    count = len(targets.train)
    return fit_probe(features[:count], features[count:-1], targets, generator, learning_rate)
