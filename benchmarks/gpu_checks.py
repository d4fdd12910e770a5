"""Checks of a device: it computes what a CPU does, and lanes and graphs what a run alone does."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.gpu_setting import POINT, WHOLE, Size, make_objective
from benchmarks.setting import make_network, make_text
from cvfp_opt.model.diversity import orthogonality
from cvfp_opt.model.matrix_products import PRODUCTS
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.model.passes import sequential_pass, zero_context
from cvfp_opt.model.stacked import StackedForward, StackedReader
from cvfp_opt.training.snapshot import Snapshot


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check: a figure, and the limit that it must not exceed."""

    name: str
    figure: float
    limit: float

    @property
    def passed(self) -> bool:
        """NaN does not pass."""
        return self.figure <= self.limit


def checks(device: torch.device, size: Size) -> Iterator[Check]:
    """Compare with plain passes, with the CPU, with runs alone and with undisturbed runs."""
    network = make_network(size.model, context_scale=0.3).to(device)
    text = make_text(size.plain_tokens, size.model).to(device)
    zero = zero_context(network)
    plain = sequential_pass(network, text, zero, reader="plain")
    replayed = StackedReader().read([network], zero[None, None], text[None, None], "float32")
    yield Check(
        name="pass by graph against plain torch, largest difference",
        figure=(replayed[0, 0] - plain).abs().max().item(),
        limit=1e-3,
    )
    yield Check(
        name="a product in float32 against float64, relative (more than 1e-4 is TF32)",
        figure=product_error(device),
        limit=1e-5,
    )
    # one unit of ReLU that opens on one side only is 6e-4 of a gradient at the standard size;
    # against float64 the CPU's own bfloat16 is off by 0.12
    for precision, limit in (("float32", 2e-3), ("bfloat16", 0.1)):
        here = gradients(network, size, precision)
        there = gradients(make_network(size.model, context_scale=0.3), size, precision)
        yield Check(
            name=f"gradients of a step in {precision} against the CPU, relative",
            figure=distance(here, there),
            limit=limit,
        )
        yield Check(
            name=f"gradients of a step in {precision}, lanes against alone, relative",
            figure=max(
                distance(lane, here) for lane in stacked_gradients([network] * 3, size, precision)
            ),
            limit=limit,
        )
    yield Check(
        name="a trial that went on from a snapshot: digests of weights that differ",
        figure=float(resumed(device, size)),
        limit=0.0,
    )


def product_error(device: torch.device) -> float:
    """Return |a - b| / |b| for a matrix product with a sum over 1024, b in float64."""
    source = torch.Generator().manual_seed(4)
    left, right = (torch.randn(1024, 1024, generator=source).to(device) for _ in range(2))
    return distance([left @ right], [left.double() @ right.double()])


def gradients(network: ContextNetwork, size: Size, precision: str) -> list[Tensor]:
    """Compute the gradients of one step's loss, on the network's device."""
    contexts, tokens, target = rows(network, size)
    network.zero_grad(set_to_none=True)
    loss(network(contexts, tokens, PRODUCTS[precision]), target).backward()
    return [p.grad.clone() for p in network.parameters() if p.grad is not None]


def stacked_gradients(
    networks: Sequence[ContextNetwork], size: Size, precision: str
) -> list[list[Tensor]]:
    """Compute the gradients of several networks at once."""
    contexts, tokens, target = rows(networks[0], size)
    count = len(networks)
    forward = StackedForward(
        networks, contexts.expand(count, -1, -1), tokens.expand(count, -1, -1), precision
    )
    outer = {}
    for index in range(count):
        leaf = forward.contexts[index].clone().requires_grad_()
        (outer[index],) = torch.autograd.grad(loss(leaf, target), leaf)
    return [list(found.values()) for found in forward.gradients(outer)]


def rows(network: ContextNetwork, size: Size) -> tuple[Tensor, Tensor, Tensor]:
    """Draw contexts, tokens and targets of a minibatch: (B, D), (B, E), (B, D)."""
    source = torch.Generator().manual_seed(3)
    widths = (size.model.context_size, size.model.embedding_size, size.model.context_size)
    device = next(network.parameters()).device
    contexts, tokens, target = (
        torch.randn(size.minibatch, width, generator=source).to(device) for width in widths
    )
    return contexts, tokens, target


def loss(contexts: Tensor, target: Tensor) -> Tensor:
    """Compute a total loss: half convergence, half diversity."""
    return F.mse_loss(contexts, target) + orthogonality(contexts, None)


def distance(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    """Return |a - b| / |b| over all tensors."""
    pairs = [(a.double().cpu(), b.double().cpu()) for a, b in zip(found, wanted, strict=True)]
    above = sum((a - b).square().sum().item() for a, b in pairs)
    return float((above / sum(b.square().sum().item() for _, b in pairs)) ** 0.5)


class _Keeper:
    """Keeps the first snapshot, as a checkpoint would, or gives one to go on from."""

    def __init__(self, begin: Snapshot | None = None) -> None:
        self.begin, self.kept = begin, None

    def load(self) -> Snapshot | None:
        return self.begin

    def save(self, snapshot: Snapshot) -> None:
        if self.kept is None:
            tensors = {name: tensor.clone() for name, tensor in snapshot.tensors.items()}
            self.kept = replace(snapshot, tensors=tensors)


def resumed(device: torch.device, size: Size) -> bool:
    """Check whether a trial resumed from its first snapshot ends with other weights."""
    short = ("training.num_iterations=3", "data.train_tokens=640", *size.settings, *WHOLE)
    objective = make_objective(device, short)
    first = _Keeper()
    whole = objective(POINT, 0, keeper=first)
    again = objective(POINT, 0, keeper=_Keeper(first.kept))
    assert first.kept is not None, "no snapshot was left"
    return whole.weights_digest != again.weights_digest
