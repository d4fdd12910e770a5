"""The segment pass: a text as many segments, read at once as lanes of one matrix product.

A token waits for the one before it, so a sequential pass is one product of a matrix and a vector
after the other. Here M segments go side by side, each started from the context that the previous
pass had shortly before it: four to seven times faster, and not the same thing.

- ``segment_pass`` stops there. It is an honest algorithm for contexts to train on, and not for
  contexts to report: each segment still remembers a little of the previous pass.
- ``sampled_passes`` also stops there, from a start that is no pass's: where the network is
  chaotic, and no pass is more than a sample.
- ``repaired_pass`` goes on until every segment starts where the one before it ended. Where the
  net contracts (see model.lyapunov), what it gives is the sequential pass within TOLERANCE per
  seam. Where it does not, a seam that agrees proves nothing, and repairs don't end: the caller
  has to ask, see ``contracts``.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from cvfp_opt.model.lyapunov import lyapunov_exponent
from cvfp_opt.model.matrix_products import Product, fast_linear
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.model.passes import (
    CONTEXT_LIMIT,
    ChainReader,
    Chains,
    ContextOverflow,
    Lane,
    sequential_passes,
)
from cvfp_opt.model.rounded_weights import RoundedWeights

NUM_SEGMENTS = 32  # at most
MIN_LENGTH = 64  # tokens of a segment: enough to forget, in a repair, where it started
BURN_IN = 16  # tokens that a segment reads before its own, to forget the previous pass
SETTLING = 32  # the same where it starts far from what any pass gives

# Largest difference of two contexts at a seam, relative to their norm.
TOLERANCE = 1e-5
# Rounds of repair; one that takes more is no faster than the sequential pass.
MAX_ROUNDS = 4
# Lyapunov exponent, in nats per token, below which a network contracts fast enough for repairs.
CONTRACTION = -0.1
# The exponent above which rounding decides what a pass gives: 1e-7 becomes 1 in 160 tokens.
CHAOS = 0.1
NUM_PAIRS = 8  # of the Lyapunov exponent; the audit, which prints it, takes four times as many


class _Lanes:
    """A network's step for many lanes, its weights rounded once if the precision asks for it."""

    def __init__(self, network: ContextNetwork, precision: str) -> None:
        self._network = network
        self._product: Product = (
            fast_linear if precision == "float32" else RoundedWeights(network).linear
        )

    def step(self, contexts: Tensor, tokens: Tensor) -> Tensor:
        """Take a step in each lane: (lanes, D), (lanes, E) -> (lanes, D)."""
        after: Tensor = self._network(contexts, tokens, self._product)
        return after

    def read(self, contexts: Tensor, tokens: Tensor) -> Tensor:
        """Read a chain in each lane: (lanes, D), (lanes, T, E) -> (lanes, T, D)."""
        out = contexts.new_empty(*tokens.shape[:2], contexts.shape[1])
        for t in range(tokens.shape[1]):
            contexts = out[:, t] = self.step(contexts, tokens[:, t])
        return out


def own_chains(network: ContextNetwork, precision: str) -> ChainReader:
    """Read chains as lanes of one product, on any device."""
    return _Lanes(network, precision).read


def _length(num_tokens: int) -> int:
    """Return the length of a segment in tokens; the last one may have fewer."""
    return max(MIN_LENGTH, -(-num_tokens // NUM_SEGMENTS))


def _read_segments(
    read: ChainReader,
    embeddings: Tensor,
    start: Tensor,
    previous: Tensor,
    length: int,
    burn_in: int,
) -> tuple[Tensor, Tensor]:
    """Read all segments at once; return contexts (T, D) and where each started (M, D)."""
    num_tokens = embeddings.shape[0]
    first = torch.arange(0, num_tokens, length, device=embeddings.device)  # (M,)
    burn_in = min(burn_in, length)
    began = first - burn_in  # the first token that each reads; the first segment: none before 0
    states = torch.cat([start.unsqueeze(0), previous])[began.clamp_min(0)]  # (M, D)
    steps = torch.arange(burn_in + length, device=embeddings.device)
    # (M, burn_in + length, E); past the end the last token again
    tokens = embeddings[(began.unsqueeze(1) + steps).clamp(0, num_tokens - 1)]
    starts = read(states, tokens[:, :burn_in])[:, -1].clone()
    starts[0] = start
    contexts = read(starts, tokens[:, burn_in:])  # (M, length, D)
    return contexts.flatten(0, 1)[:num_tokens].clone(), starts


def _check(contexts: Tensor) -> Tensor:
    """Return ``contexts``, or raise ContextOverflow where they are not in order."""
    largest = contexts.abs().max().item()
    if not largest <= CONTEXT_LIMIT:
        raise ContextOverflow(contexts.shape[0], largest)
    return contexts


@torch.no_grad()
def segment_pass(
    network: ContextNetwork,
    embeddings: Tensor,
    start: Tensor,
    previous: Tensor,
    precision: str = "float32",
    chains: Chains = own_chains,
) -> Tensor:
    """Read contexts to train on: a pass whose segments each begin a little out of step.

    Args:
        network: the step.
        embeddings: (T, E) tokens.
        start: (D,) context before the first token.
        previous: (T, D) contexts of the pass before.
        precision: a key of PRODUCTS.
        chains: the reader of chains.

    Returns:
        (T, D) contexts, without gradient.

    Raises:
        ContextOverflow: contexts became infinite, NaN or too large.
    """
    length = _length(embeddings.shape[0])
    read = chains(network, precision)
    return _check(_read_segments(read, embeddings, start, previous, length, BURN_IN)[0])


def quick_exponent(network: ContextNetwork, embeddings: Tensor, contexts: Tensor) -> float:
    """Estimate the Lyapunov exponent from NUM_PAIRS pairs; the same for the same network.

    Args:
        network: the step.
        embeddings: (T, E) tokens.
        contexts: (T, D) of any pass that the net's is expected to be near.

    Returns:
        In nats per token; see ``lyapunov_exponent``.
    """
    generator = torch.Generator().manual_seed(0)
    return lyapunov_exponent(network, embeddings, contexts, generator, NUM_PAIRS)


def contracts(network: ContextNetwork, embeddings: Tensor, contexts: Tensor) -> bool:
    """Check that the Lyapunov exponent is below CONTRACTION, so that repairs end."""
    return quick_exponent(network, embeddings, contexts) < CONTRACTION


@torch.no_grad()
def repaired_pass(
    network: ContextNetwork,
    embeddings: Tensor,
    start: Tensor,
    previous: Tensor,
    chains: Chains = own_chains,
) -> Tensor | None:
    """Read the sequential pass of a contracting network, within TOLERANCE.

    Segments that do not start where the one before ended are read again from there, until they
    meet what they had read before. Arguments as in ``segment_pass``.

    Returns:
        (T, D) contexts; None if the repairs do not end.

    Raises:
        ContextOverflow: contexts became infinite, NaN or too large.
    """
    num_tokens = embeddings.shape[0]
    length = _length(num_tokens)
    lanes = _Lanes(network, "float32")
    read = chains(network, "float32")
    contexts, starts = _read_segments(read, embeddings, start, previous, length, BURN_IN)
    first = torch.arange(0, num_tokens, length, device=embeddings.device)  # (M,)
    for _ in range(MAX_ROUNDS):
        _check(contexts)
        ends = contexts[first[1:] - 1]  # (M - 1, D): where segments 1 ... should have started
        torn = _apart(starts[1:], ends)
        if not bool(torn.any()):
            return contexts
        again = first[1:][torn]
        starts[1:][torn] = ends[torn]
        _reread(lanes, embeddings, contexts, ends[torn], again, length)
    return None


def _apart(left: Tensor, right: Tensor) -> Tensor:
    """Compare (N, D), (N, D) -> (N,): which differ by more than TOLERANCE."""
    distance = torch.linalg.vector_norm(left - right, dim=-1)
    apart: Tensor = distance > TOLERANCE * torch.linalg.vector_norm(right, dim=-1)
    return apart


def _reread(
    lanes: _Lanes,
    embeddings: Tensor,
    contexts: Tensor,
    states: Tensor,
    first: Tensor,
    length: int,
) -> None:
    """Read segments again from ``states`` (N, D), until they meet the ``contexts`` there."""
    position = first
    end = (first + length).clamp_max(embeddings.shape[0])
    while position.numel():
        states = lanes.step(states, embeddings[position])
        apart = _apart(contexts[position], states)
        contexts[position] = states
        going = apart & (position + 1 < end)
        states, position, end = states[going], position[going] + 1, end[going]


def exact_passes(
    network: ContextNetwork,
    lanes: Sequence[Lane],
    guesses: Sequence[Tensor],
    *,
    repair: bool,
    on_tokens: Callable[[int], None] | None = None,
    chains: Chains | None = None,
) -> list[Tensor]:
    """Read one text or two: token by token, or repaired where that may be trusted.

    Args:
        lanes: one text or two.
        guesses: for each lane (T, D) contexts that those to come may be near; used for repairs.
        repair: whether TOLERANCE will do; the network is asked whether it contracts.
        on_tokens: called now and then with the number of tokens read.
        chains: the reader of chains; None for the default of each kind of pass.

    Returns:
        The (T, D) contexts of each lane, without gradient.

    Raises:
        ContextOverflow: contexts became infinite, NaN or too large.
    """
    if repair and contracts(network, lanes[0].embeddings, guesses[0]):
        found: list[Tensor] = []
        for lane, guess in zip(lanes, guesses, strict=True):
            contexts = repaired_pass(
                network, lane.embeddings, lane.start, guess, chains or own_chains
            )
            if contexts is None:
                break
            found.append(contexts)
            if on_tokens is not None:
                on_tokens(sum(map(len, found)))
        else:
            return found
    return sequential_passes(network, lanes, on_tokens, chains=chains)


@torch.no_grad()
def sampled_passes(
    network: ContextNetwork,
    lanes: Sequence[Lane],
    *,
    on_tokens: Callable[[int], None] | None = None,
    chains: Chains | None = None,
) -> tuple[list[Tensor], bool]:
    """Read texts with a network that may be chaotic, as the untrained one is at the standard size.

    Above CHAOS a sequential pass is one of many that differ as much as two texts do, and two
    machines do not give the same one. Then segments, all from ``start`` and SETTLING tokens
    early, are another sample of them, and read many times faster: ranks and convergence rates
    are those of a pass within what two passes differ by (docs/experiments.md). Else
    ``exact_passes`` reads.

    Returns:
        The (T, D) contexts of each lane, and whether they are those of the pass.

    Raises:
        ContextOverflow: contexts became infinite, NaN or too large.
    """
    read = (chains or own_chains)(network, "float32")
    found: list[Tensor] = []
    for lane in lanes:
        text, start = lane.embeddings, lane.start
        anywhere = start.expand(len(text), -1)
        contexts, _ = _read_segments(read, text, start, anywhere, _length(len(text)), SETTLING)
        found.append(_check(contexts))
    if quick_exponent(network, lanes[0].embeddings, found[0]) <= CHAOS:
        return exact_passes(
            network, lanes, found, repair=True, on_tokens=on_tokens, chains=chains
        ), True
    if on_tokens is not None:
        on_tokens(sum(map(len, found)))
    return found, False
