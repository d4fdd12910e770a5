"""Metrics of the contexts of a pass. All functions are pure; all rates lie in [0, 1]."""

import torch
from torch import Tensor

# Levels 0, 1/64, ..., 1: between two neighbours lie at most 1/64 of the tokens, so a rate read
# off the quantiles is within 1.6 points and one token of the true one, at any threshold.
NUM_QUANTILES = 65


def residuals(contexts: Tensor, previous: Tensor) -> Tensor:
    """Return ``mean_D (C_k[t] - C_{k-1}[t])^2`` per token: (T, D), (T, D) -> (T,)."""
    return (contexts - previous).square().mean(dim=-1)


def mean_square(contexts: Tensor) -> float:
    """Return the mean square of all coordinates of (T, D) contexts; 1 at unit power."""
    return contexts.square().mean(dtype=torch.float64).item()


def convergence_rate(residuals: Tensor, threshold: float) -> float:
    """Return the share of tokens whose residual is below ``threshold`` (strictly)."""
    return (residuals < threshold).double().mean().item()


# Rounding in the Gram matrix changes a singular value this far below the largest one by a
# hundredth of itself; at 1e-8 by all of itself.
GRAM_LIMIT = 1e-7


def singular_values(contexts: Tensor) -> Tensor:
    """Compute the singular values of (T, D) contexts in float64, unordered: (min(T, D),).

    They are the roots of the eigenvalues of the smaller Gram matrix, which takes two thirds of an
    SVD's time and squares the condition number: where that would matter, the SVD is taken.
    """
    matrix = contexts.double()
    if matrix.shape[0] < matrix.shape[1]:
        matrix = matrix.T
    squares: Tensor = torch.linalg.eigvalsh(matrix.T @ matrix)  # ascending
    if squares[0] <= GRAM_LIMIT**2 * squares[-1]:
        values: Tensor = torch.linalg.svdvals(matrix)
        return values
    return squares.sqrt()


def effective_rank(contexts: Tensor) -> float:
    """Return ``exp(H(p)) / D`` with ``p_i = s_i / sum s``, s the singular values of C.

    The normalised effective rank of contexts (T, D), which are not centred: in (0, 1], at most
    ``min(T, D) / D``; zero for contexts that are all zero. Source: Roy & Vetterli, "The effective
    rank", EUSIPCO 2007.
    """
    values = singular_values(contexts)
    total = values.sum()
    if total == 0:
        return 0.0
    p = values / total
    entropy: Tensor = -torch.special.xlogy(p, p).sum()
    return (entropy.exp() / contexts.shape[1]).item()


def residual_quantiles(residuals: Tensor) -> tuple[float, ...]:
    """Return NUM_QUANTILES quantiles of the residuals (T,), at levels evenly from 0 to 1."""
    levels = torch.linspace(0.0, 1.0, NUM_QUANTILES, dtype=torch.float64)
    return tuple(torch.quantile(residuals.double().cpu(), levels).tolist())
