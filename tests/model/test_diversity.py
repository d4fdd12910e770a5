"""Diversity losses: one contract for all, closed forms for each."""

import math

import pytest
import torch
from torch import Tensor

from cvfp_opt.model.diversity import (
    DIVERSITY_LOSSES,
    coding_rate,
    deviation,
    orthogonality,
    pairwise_distance,
    uniformity,
    untrained_scale,
    updated_mean,
)


def contexts_of(count: int, width: int = 6, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("name", DIVERSITY_LOSSES)
@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("with_mean", [True, False])
def test_every_loss_is_a_finite_differentiable_scalar(
    name: str, count: int, with_mean: bool
) -> None:
    contexts = contexts_of(count).requires_grad_()
    mean = contexts_of(1, seed=9)[0] if with_mean else None
    value = DIVERSITY_LOSSES[name](contexts, mean)
    assert value.shape == ()
    [gradient] = torch.autograd.grad(value, contexts)
    assert torch.isfinite(value)
    assert torch.isfinite(gradient).all()
    assert torch.autograd.gradcheck(lambda c: DIVERSITY_LOSSES[name](c, mean), (contexts,))


@pytest.mark.parametrize("name", DIVERSITY_LOSSES)
def test_every_loss_survives_contexts_that_are_all_the_same(name: str) -> None:
    contexts = contexts_of(1).expand(5, -1).clone().requires_grad_()
    value = DIVERSITY_LOSSES[name](contexts, contexts[0].detach())
    [gradient] = torch.autograd.grad(value, contexts)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("name", DIVERSITY_LOSSES)
def test_every_loss_prefers_spread_contexts_to_collapsed_ones(name: str) -> None:
    spread = contexts_of(6)
    collapsed = spread[:1] + 0.01 * spread
    mean = spread.mean(dim=0) if name != "deviation" else collapsed.mean(dim=0)
    loss = DIVERSITY_LOSSES[name]
    assert loss(spread, mean) < loss(collapsed, mean)


def test_orthogonality_is_zero_for_orthogonal_and_ten_for_parallel_contexts() -> None:
    assert orthogonality(3 * torch.eye(5), None).item() == pytest.approx(0.0)
    parallel = torch.tensor([[1.0, 2.0], [-2.0, -4.0], [0.5, 1.0]])
    assert orthogonality(parallel, None).item() == pytest.approx(10.0)


def test_pairwise_distance_has_its_closed_form() -> None:
    contexts = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    assert pairwise_distance(contexts, None).item() == pytest.approx(-5 / math.sqrt(4))
    unit_variance = contexts_of(200, width=768)
    assert pairwise_distance(unit_variance, None).item() == pytest.approx(-1.0, abs=0.01)


def test_deviation_is_minus_the_mean_distance_to_the_average() -> None:
    contexts = torch.tensor([[3.0, 4.0], [0.0, 1.0]])
    assert deviation(contexts, torch.zeros(2)).item() == pytest.approx(-(5 + 1) / 2)
    assert deviation(contexts, None).item() == 0.0


@pytest.mark.parametrize("start", [True, False])
@pytest.mark.parametrize("count", [1, 2, 9])
def test_the_average_in_closed_form_is_the_one_by_one_recurrence(start: bool, count: int) -> None:
    mean = contexts_of(1, seed=4)[0] if start else None
    expected = mean
    for context in contexts_of(count):
        expected = context if expected is None else 0.9 * expected + 0.1 * context
    torch.testing.assert_close(updated_mean(mean, contexts_of(count), 0.9), expected)


def test_coding_rate_is_minus_one_for_orthogonal_contexts_and_small_for_equal_ones() -> None:
    assert coding_rate(5 * torch.eye(6), None).item() == pytest.approx(-1.0)
    equal = torch.ones(6, 6)
    a = 6 / (6 * 0.25)
    expected = -math.log1p(6 * a) / (6 * math.log1p(a))  # one eigenvalue of U U^T is 6
    assert coding_rate(equal, None).item() == pytest.approx(expected)


def test_uniformity_is_minus_four_for_orthogonal_and_zero_for_equal_contexts() -> None:
    assert uniformity(2 * torch.eye(5), None).item() == pytest.approx(-4.0)
    assert uniformity(torch.ones(5, 3), None).item() == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("name", DIVERSITY_LOSSES)
def test_the_untrained_scale_makes_every_loss_pull_as_hard_as_the_fixed_point_loss(
    name: str,
) -> None:
    size = 1 if name == "deviation" else 16
    now, before = contexts_of(64, width=12), contexts_of(64, width=12, seed=5)
    loss, mean = DIVERSITY_LOSSES[name], now.mean(dim=0)
    scale = untrained_scale(loss, now, before, size)
    stride = 64 // size
    pulls = []
    for first in range(min(stride, 8)):
        batch = now[first::stride][:size].clone().requires_grad_()
        [gradient] = torch.autograd.grad(scale * loss(batch, mean), batch)
        # of the mean square: 2 (c - target) / (B D)
        cvfp = 2 * (batch - before[first::stride][:size]).detach() / batch.numel()
        pulls.append((gradient.norm().item(), cvfp.norm().item()))
    ours, theirs = (sum(column) for column in zip(*pulls, strict=True))
    assert ours == pytest.approx(theirs, rel=1e-9)


def test_the_untrained_scale_does_not_depend_on_how_a_loss_is_written() -> None:
    now, before = contexts_of(40), contexts_of(40, seed=1)
    plain = untrained_scale(orthogonality, now, before, 8)
    thousandfold = untrained_scale(lambda c, m: 1000 * orthogonality(c, m), now, before, 8)
    assert thousandfold == pytest.approx(plain / 1000)


def test_a_loss_without_a_gradient_has_no_scale() -> None:
    now, before = contexts_of(40), contexts_of(40, seed=1)
    assert untrained_scale(lambda c, m: 0 * c.sum(), now, before, 8) == math.inf
