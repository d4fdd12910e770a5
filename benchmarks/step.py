"""One training step on a minibatch of 256, and the effective rank."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.setting import NUM_TOKENS, STANDARD, make_network
from benchmarks.timing import Result, in_turn
from cvfp_opt.model.diversity import orthogonality
from cvfp_opt.model.matrix_products import PRODUCTS
from cvfp_opt.model.metrics import effective_rank
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.model.rounded_weights import RoundedWeights
from cvfp_opt.training.optimizer import ClippedAdam

MINIBATCH = 256


Forward = Callable[[ContextNetwork, Tensor, Tensor], Tensor]


def all_rows(network: ContextNetwork, context: Tensor, token: Tensor) -> Tensor:
    """Take the step with the last layer's token rows, which nothing uses."""
    for layer in network.context_layers:
        context, token = layer(context, token)
    return context


def bfloat16(network: ContextNetwork, context: Tensor, token: Tensor) -> Tensor:
    """Take the step with products in bfloat16."""
    return network(context, token, PRODUCTS["bfloat16"])


def training_step(forward: Forward | None) -> Callable[[], None]:
    """Train on a minibatch: forward, losses, backward, clip and Adam; None as a trial does now."""
    generator = torch.Generator().manual_seed(3)
    context, token, target = (
        torch.randn(MINIBATCH, STANDARD.context_size, generator=generator) for _ in range(3)
    )
    network = make_network()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)
    rounded = RoundedWeights(network)
    clipped = ClippedAdam(optimizer, 1.0, rounded)

    def run() -> None:
        if forward is None:
            contexts = network(context, token, rounded.linear)
        else:
            contexts = forward(network, context, token)
        loss = F.mse_loss(contexts, target) + orthogonality(contexts, None)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if forward is None:
            clipped.step()
        else:
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()

    return run


def step(repeats: int) -> Result:
    """Compare steps with all rows in float32, without the dead rows, and in bfloat16."""
    ways: dict[str, Forward | None] = {
        "float32, all rows": all_rows,
        "float32": ContextNetwork.__call__,
        "bfloat16": bfloat16,
        "bfloat16, one sweep": None,
    }
    variants = in_turn(
        {name: (training_step(forward), 1) for name, forward in ways.items()}, repeats=5 * repeats
    )
    return Result(row="step", title="training step, minibatch 256", unit="", variants=variants)


def adam(repeats: int) -> Result:
    """Compare clip and Adam as torch does them, and in one sweep, with and without rounding."""

    def stepping(kind: str) -> Callable[[], object]:
        network = make_network()
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)
        generator = torch.Generator().manual_seed(5)
        for parameter in network.parameters():
            parameter.grad = 1e-3 * torch.randn(parameter.shape, generator=generator)
        weights = [layer.linear.weight for layer in network.context_layers]
        rounded = RoundedWeights(network) if kind == "both" else None
        clipped = ClippedAdam(optimizer, 1.0, rounded)

        def torchs() -> None:
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            for weight in weights:
                weight.detach().bfloat16()

        return torchs if kind == "torch" else clipped.step

    variants = in_turn(
        {
            "torch's, and matrices rounded": (stepping("torch"), 1),
            "one sweep": (stepping("one"), 1),
            "one sweep, and matrices rounded": (stepping("both"), 1),
        },
        repeats=5 * repeats,
    )
    note = "one sweep is for one thread; with more, torch steps"
    return Result(
        row="adam",
        title="clip and Adam, 14 M parameters",
        unit="",
        variants=variants,
        notes=(note,),
    )


def rank(repeats: int) -> Result:
    """Compare the effective rank by SVD and by Gram matrix."""
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
