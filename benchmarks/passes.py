"""The sequential pass, and the segment pass against it."""

import torch

from benchmarks.setting import NUM_TOKENS, make_network, make_text
from benchmarks.timing import Result, in_turn
from cvfp_opt.model.passes import Lane, sequential_pass, sequential_passes, zero_context
from cvfp_opt.model.segments import contracts, repaired_pass, segment_pass

PLAIN_TOKENS = 384  # enough to time the plain pass by


def sequential(repeats: int) -> Result:
    """Compare plain torch, the kernel, and the kernel with a second text."""
    network, text = make_network(), make_text(4 * PLAIN_TOKENS)
    short, zero = text[:PLAIN_TOKENS], zero_context(network)
    lanes = [Lane(text, zero), Lane(text.flip(0), zero)]
    variants = in_turn(
        {
            "plain torch": (
                lambda: sequential_pass(network, short, zero, reader="plain"),
                len(short),
            ),
            "compiled": (
                lambda: sequential_pass(network, text, zero, reader="compiled"),
                len(text),
            ),
            "compiled, two texts": (
                lambda: sequential_passes(network, lanes, reader="compiled"),
                2 * len(text),
            ),
        },
        repeats=repeats,
    )
    note = "the compiled pass uses one thread, whatever torch may use"
    return Result(
        row="pass", title="sequential pass", unit="token", variants=variants, notes=(note,)
    )


def segments(repeats: int) -> Result:
    """Compare the kernel with segments, on a network that contracts."""
    network, text = make_network(context_scale=0.3), make_text(NUM_TOKENS)
    first = sequential_pass(network, text, zero_context(network))
    # what the pass before gave: near, as between two iterations of training
    near = first + 0.3 * torch.randn(first.shape, generator=torch.Generator().manual_seed(2))
    assert contracts(network, text, near)
    start = first[-1]
    assert repaired_pass(network, text, start, near) is not None
    variants = in_turn(
        {
            "compiled": (lambda: sequential_pass(network, text, start), NUM_TOKENS),
            "repaired": (lambda: repaired_pass(network, text, start, near), NUM_TOKENS),
            "segments, float32": (
                lambda: segment_pass(network, text, start, near),
                NUM_TOKENS,
            ),
            "segments, bfloat16": (
                lambda: segment_pass(network, text, start, near, "bfloat16"),
                NUM_TOKENS,
            ),
        },
        repeats=repeats,
    )
    return Result(
        row="segments",
        title="segment pass, 6400 tokens, contracting network",
        unit="token",
        variants=variants,
        notes=("without the probe whether the network contracts",),
    )
