"""Passes: reading a token sequence once. All figures are measured on them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cvfp_opt.model.matrix_products import has_kernels
from cvfp_opt.model.network import ContextNetwork

# A context coordinate is of order 1 (LayerNorm); one this large has left every regime in which
# the metrics mean something, and float32 overflow is a few steps away.
CONTEXT_LIMIT = 1e4

# Tokens between two reports of progress: they take well under a second at the standard size, so
# that a stop or a divergence is noticed soon.
BLOCK = 128


class ContextOverflow(ArithmeticError):
    """A context was not finite, or exceeded CONTEXT_LIMIT, near ``token`` of the pass."""

    def __init__(self, token: int, largest: float) -> None:
        super().__init__(f"context of size {largest:.3g} by token {token}")
        self.token = token
        self.largest = largest


def zero_context(network: ContextNetwork) -> Tensor:
    """Return the context (D,) that the first pass starts from."""
    parameter = next(network.parameters())
    return parameter.new_zeros(network.config.context_size)


BlockReader = Callable[[int, int, Tensor, Tensor], None]
"""Reads tokens first ... last - 1 of the leading lanes from contexts (lanes, D) on, into a tensor
(lanes, last - first, D)."""

ReaderFactory = Callable[[ContextNetwork, Sequence[Tensor]], BlockReader]
"""(network, (T, E) embeddings of each lane) -> a reader of blocks of them."""


def plain_reader(network: ContextNetwork, texts: Sequence[Tensor]) -> BlockReader:
    """Read by the network's own step, token by token: the reference, on any device."""

    def read(first: int, last: int, contexts: Tensor, out: Tensor) -> None:
        # one lane after the other: each to the bits that it has alone
        for text, context, contexts_after in zip(texts, contexts, out, strict=False):
            lane = context.unsqueeze(0)  # (1, D)
            for t in range(first, last):
                lane = network(lane, text[t : t + 1])
                contexts_after[t - first] = lane[0]

    return read


def compiled_reader(network: ContextNetwork, texts: Sequence[Tensor]) -> BlockReader:
    """Read by the compiled kernel (CPU only), see cvfp_opt.model.compiled."""
    from cvfp_opt.model.compiled import CompiledPass

    return CompiledPass(network, texts).read


ChainReader = Callable[[Tensor, Tensor], Tensor]
"""Reads B chains of tokens (B, T, E) from contexts (B, D) on: contexts (B, T, D) after each."""

Chains = Callable[[ContextNetwork, str], ChainReader]
"""(network, precision: a key of PRODUCTS) -> a reader of chains with its weights as they are when
it is called."""


def chain_reader(chains: Chains, network: ContextNetwork, texts: Sequence[Tensor]) -> BlockReader:
    """Make a reader of blocks from a reader of chains."""
    read_chains = chains(network, "float32")

    def read(first: int, last: int, contexts: Tensor, out: Tensor) -> None:
        tokens = torch.stack([text[first:last] for text in texts[: contexts.shape[0]]])
        out.copy_(read_chains(contexts, tokens))

    return read


READERS: Mapping[str, ReaderFactory] = {"plain": plain_reader, "compiled": compiled_reader}


def default_reader(device: torch.device) -> str:
    """Return ``compiled`` for a CPU, unless NUMBA_DISABLE_JIT=1 is set, else ``plain``."""
    return "compiled" if has_kernels(device) else "plain"


@dataclass(frozen=True)
class Lane:
    """A text to read: (T, E) layer-normalised embeddings, from a context (D,) on."""

    embeddings: Tensor
    start: Tensor


@torch.no_grad()
def sequential_passes(
    network: ContextNetwork,
    lanes: Sequence[Lane],
    on_tokens: Callable[[int], None] | None = None,
    reader: str | None = None,
    chains: Chains | None = None,
) -> list[Tensor]:
    """Read one text or two, token by token: ``C[t] = f(x_t, C[t-1])``, ``C[-1] = start``.

    Args:
        network: the step f.
        lanes: one text or two; the second shares the sweeps over the weights with the first.
        on_tokens: called with the number of tokens read, every BLOCK tokens and at the end.
        reader: a key of READERS; None for the default of the device.
        chains: a reader of chains, to be used instead.

    Returns:
        The (T, D) contexts of each lane, without gradient.

    Raises:
        ContextOverflow: contexts became infinite, NaN or larger than CONTEXT_LIMIT.
    """
    order = sorted(range(len(lanes)), key=lambda i: -len(lanes[i].embeddings))  # longest first
    texts = [lanes[i].embeddings for i in order]
    contexts = [text.new_empty(len(text), network.config.context_size) for text in texts]
    if chains is not None:
        read = chain_reader(chains, network, texts)
    else:
        read = READERS[reader or default_reader(texts[0].device)](network, texts)
    state = torch.stack([lanes[i].start for i in order])  # (lanes, D)
    first = done = 0
    for length in sorted({len(text) for text in texts}):  # after each, a lane is through
        num_lanes = sum(len(text) >= length for text in texts)
        while first < length:
            last = min(first + BLOCK, length)
            block = state.new_empty(num_lanes, last - first, state.shape[1])
            read(first, last, state[:num_lanes], block)
            largest = block.abs().max().item()  # NaN if any is NaN
            if not largest <= CONTEXT_LIMIT:
                raise ContextOverflow(last, largest)
            for lane in range(num_lanes):
                contexts[lane][first:last] = block[lane]
            state = block[:, -1]
            done += num_lanes * (last - first)
            first = last
            if on_tokens is not None:
                on_tokens(done)
    return [contexts[order.index(i)] for i in range(len(lanes))]


def sequential_pass(
    network: ContextNetwork,
    embeddings: Tensor,
    start: Tensor,
    on_tokens: Callable[[int], None] | None = None,
    reader: str | None = None,
    chains: Chains | None = None,
) -> Tensor:
    """Read one text and return its contexts (T, D); see ``sequential_passes``."""
    return sequential_passes(network, [Lane(embeddings, start)], on_tokens, reader, chains)[0]
