"""One training step on a minibatch of 256, and the effective rank."""

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.setting import NUM_TOKENS, STANDARD, make_network
from benchmarks.timing import Result, in_turn
from cvfp_opt.model.diversity import orthogonality
from cvfp_opt.model.metrics import effective_rank
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.model.products import PRODUCTS

MINIBATCH = 256


def step(repeats: int) -> Result:
    """With all rows in float32, without the dead rows, and in bfloat16."""
    generator = torch.Generator().manual_seed(3)
    context, token, target = (
        torch.randn(MINIBATCH, STANDARD.context_size, generator=generator) for _ in range(3)
    )

    def all_rows(network: ContextNetwork) -> Tensor:
        pair = context, token
        for layer in network.context_layers:
            pair = layer(*pair)
        return pair[0]

    def one(forward):
        network = make_network()
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)

        def run() -> None:
            contexts = forward(network)
            loss = F.mse_loss(contexts, target) + orthogonality(contexts, None)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()

        return run, 1

    variants = in_turn(
        {
            "float32, all rows": one(all_rows),
            "float32": one(lambda network: network(context, token)),
            "bfloat16": one(lambda network: network(context, token, PRODUCTS["bfloat16"])),
        },
        repeats=5 * repeats,
    )
    return Result(row="step", title="training step, minibatch 256", unit="", variants=variants)


def rank(repeats: int) -> Result:
    """SVD against Gram matrix."""
    generator = torch.Generator().manual_seed(4)
    contexts = torch.randn(NUM_TOKENS, STANDARD.context_size, generator=generator)
    contexts *= torch.logspace(0, -2, STANDARD.context_size)

    def svd() -> float:
        values = torch.linalg.svdvals(contexts.double())
        p = values / values.sum()
        return ((-torch.special.xlogy(p, p).sum()).exp() / contexts.shape[1]).item()

    error = abs(svd() - effective_rank(contexts))
    variants = in_turn(
        {"SVD": (svd, 1), "Gram matrix": (lambda: effective_rank(contexts), 1)},
        repeats=2 * repeats,
    )
    return Result(
        row="rank",
        title="effective rank of 6400 contexts",
        unit="",
        variants=variants,
        notes=(f"the two differ by {error:.1g}",),
    )
