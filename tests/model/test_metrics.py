"""Metrics against closed forms, an independent reference, and invariants."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cvfp_opt.model.config import combined_score
from cvfp_opt.model.metrics import (
    NUM_QUANTILES,
    convergence_rate,
    effective_rank,
    residual_quantiles,
    residuals,
    singular_values,
)
from cvfp_opt.store.record.quantiles import rate_at


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("tokens", "width"), [(8, 8), (5, 8), (20, 8)])
def test_orthonormal_contexts_have_the_highest_rank_there_is(tokens: int, width: int) -> None:
    q, _ = torch.linalg.qr(random(max(tokens, width), min(tokens, width)))
    contexts = q if tokens >= width else q.T
    assert effective_rank(contexts) == pytest.approx(min(tokens, width) / width)


def test_contexts_on_one_line_have_rank_one() -> None:
    assert effective_rank(torch.outer(random(30), random(8))) == pytest.approx(1 / 8)


def test_zero_contexts_have_no_rank() -> None:
    assert effective_rank(torch.zeros(5, 4)) == 0.0


def test_effective_rank_against_numpy() -> None:
    contexts = random(40, 12) @ torch.diag(torch.logspace(0, -6, 12, dtype=torch.float64))
    s = np.linalg.svd(contexts.numpy(), compute_uv=False)
    p = s / s.sum()
    expected = np.exp(-(p * np.log(p)).sum()) / 12
    assert effective_rank(contexts) == pytest.approx(expected, rel=1e-12)
    assert effective_rank(contexts.float()) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("shape", [(400, 48), (48, 48), (30, 48)])
@pytest.mark.parametrize("decades", [0, 3, 6, 6.9, 7.1, 9, 14])
def test_the_gram_matrix_gives_the_singular_values(shape: tuple[int, int], decades: float) -> None:
    """At any condition number: where squaring it would lose digits, by the SVD."""
    left, _ = torch.linalg.qr(random(shape[0], min(shape)))
    right, _ = torch.linalg.qr(random(shape[1], min(shape), seed=1))
    expected = torch.logspace(0, -decades, min(shape), dtype=torch.float64)
    contexts = left @ torch.diag(expected) @ right.T
    found = singular_values(contexts).sort(descending=True).values
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-12)
    p = expected / expected.sum()
    rank = (-(p * p.log()).sum()).exp().item() / shape[1]
    assert effective_rank(contexts) == pytest.approx(rank, rel=5e-8)


def test_effective_rank_ignores_scale_and_rotation() -> None:
    contexts = random(30, 6)
    q, _ = torch.linalg.qr(random(6, 6, seed=2))
    rank = effective_rank(contexts)
    assert effective_rank(1e-3 * contexts) == pytest.approx(rank, rel=1e-10)
    assert effective_rank(contexts @ q) == pytest.approx(rank, rel=1e-10)
    assert effective_rank(contexts + 5) < rank  # not centred: a common offset costs rank


def test_residuals_are_mean_squares_per_token() -> None:
    now, before = torch.tensor([[1.0, 3.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.0, 0.0]])
    assert residuals(now, before).tolist() == [5.0, 0.0]


def test_convergence_is_complete_at_a_fixed_point_and_strict_at_the_threshold() -> None:
    contexts = random(9, 4)
    assert convergence_rate(residuals(contexts, contexts), 1e-12) == 1.0
    moved = torch.tensor([0.05, 0.1, 0.2, 0.3])
    assert convergence_rate(moved, 0.2) == 0.5


def test_the_score_weighs_both() -> None:
    assert combined_score(1.0, 0.5, convergence_weight=0.5) == 0.75
    assert combined_score(1.0, 0.5, convergence_weight=0.0) == 0.5


values = st.floats(min_value=0.0, max_value=1e4, allow_subnormal=False)


@settings(deadline=None)
@given(st.lists(values, min_size=1, max_size=300), values)
def test_the_rate_at_any_threshold_is_within_two_points(moved: list[float], t: float) -> None:
    tensor = torch.tensor(moved, dtype=torch.float64)
    quantiles = residual_quantiles(tensor)
    assert len(quantiles) == NUM_QUANTILES >= 33
    # the levels are 1 / 64 apart, and one token is 1 / T
    tolerance = 1 / 64 + 1 / len(moved)
    assert abs(rate_at(quantiles, t) - convergence_rate(tensor, t)) <= tolerance + 1e-12


@pytest.mark.parametrize("tokens", [640, 6400])
def test_the_rate_at_any_threshold_on_residuals_as_they_are(tokens: int) -> None:
    moved = random(tokens).abs() ** 3
    quantiles = residual_quantiles(moved)
    for threshold in torch.logspace(-4, 1, 60, dtype=torch.float64).tolist():
        assert abs(rate_at(quantiles, threshold) - convergence_rate(moved, threshold)) <= 0.02
