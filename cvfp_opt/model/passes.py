"""Reading a token sequence once: the pass that everything else is measured on."""

import os
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from cvfp_opt.model.network import ContextNetwork

# A context coordinate is of order 1 (LayerNorm); one this large has left every regime in which
# the metrics mean something, and float32 overflow is a few steps away.
CONTEXT_LIMIT = 1e4

# Tokens between two reports of progress: well under a second at the standard size, so that a
# stop or a divergence is noticed soon.
BLOCK = 128


class ContextOverflow(ArithmeticError):
    """A context was not finite, or exceeded CONTEXT_LIMIT, near ``token`` of the pass."""

    def __init__(self, token: int, largest: float) -> None:
        super().__init__(f"context of size {largest:.3g} by token {token}")
        self.token = token
        self.largest = largest


def zero_context(network: ContextNetwork) -> Tensor:
    """The context (D,) that iteration 0 starts from."""
    parameter = next(network.parameters())
    return parameter.new_zeros(network.config.context_size)


BlockReader = Callable[[int, int, Tensor, Tensor], None]
"""Reads tokens first ... last - 1 from a context (D,) on, into a tensor (last - first, D)."""

ReaderFactory = Callable[[ContextNetwork, Tensor], BlockReader]
"""(network, (T, E) embeddings) -> a reader of blocks of them."""


def plain_reader(network: ContextNetwork, embeddings: Tensor) -> BlockReader:
    """The network's own step, token by token: the reference, on any device."""

    def read(first: int, last: int, context: Tensor, out: Tensor) -> None:
        lane = context.unsqueeze(0)  # (1, D)
        for t in range(first, last):
            lane = network(lane, embeddings[t : t + 1])
            out[t - first] = lane[0]

    return read


def compiled_reader(network: ContextNetwork, embeddings: Tensor) -> BlockReader:
    """The compiled kernel; CPU only. See cvfp_opt.model.compiled."""
    from cvfp_opt.model.compiled import CompiledPass

    return CompiledPass(network, embeddings).read


READERS: Mapping[str, ReaderFactory] = {"plain": plain_reader, "compiled": compiled_reader}


def default_reader(device: torch.device) -> str:
    """``compiled`` on a CPU, unless numba is switched off (NUMBA_DISABLE_JIT=1)."""
    disabled = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
    return "plain" if device.type != "cpu" or disabled else "compiled"


@torch.no_grad()
def sequential_pass(
    network: ContextNetwork,
    embeddings: Tensor,
    start: Tensor,
    on_tokens: Callable[[int], None] | None = None,
    reader: str | None = None,
) -> Tensor:
    """Contexts of all tokens, read in order: ``C[t] = f(x_t, C[t-1])``, ``C[-1] = start``.

    Args:
        network: the step f.
        embeddings: (T, E) layer-normalised token embeddings.
        start: (D,) context before the first token.
        on_tokens: called with the number of tokens read, every BLOCK tokens and at the end.
        reader: a key of READERS; None for the default of the device.

    Returns:
        (T, D) contexts, without gradient.

    Raises:
        ContextOverflow: contexts became infinite, NaN or larger than CONTEXT_LIMIT.
    """
    num_tokens = embeddings.shape[0]
    contexts = embeddings.new_empty(num_tokens, start.shape[-1])  # (T, D)
    read = READERS[reader or default_reader(embeddings.device)](network, embeddings)
    context = start
    for first in range(0, num_tokens, BLOCK):
        last = min(first + BLOCK, num_tokens)
        block = contexts[first:last]
        read(first, last, context, block)
        largest = block.abs().max().item()  # NaN if any is NaN
        if not largest <= CONTEXT_LIMIT:
            raise ContextOverflow(last, largest)
        context = block[-1]
        if on_tokens is not None:
            on_tokens(last)
    return contexts
