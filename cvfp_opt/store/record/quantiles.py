"""Convergence at any threshold, from the residual quantiles that a trial stores."""

from collections.abc import Sequence
from math import isfinite


def rate_at(quantiles: Sequence[float], threshold: float) -> float:
    """Compute the convergence rate at any threshold from quantiles, to within 1/64 + 1/T.

    Linear between neighbouring quantiles. For the scale-free rate, multiply the threshold by
    the mean square of the contexts.
    """
    last = len(quantiles) - 1
    below = sum(q < threshold for q in quantiles)
    if below == 0:
        return 0.0
    if below > last:
        return 1.0
    low, high = quantiles[below - 1], quantiles[below]
    if not (isfinite(low) and high > low):  # another program's: they do not ascend
        return (below - 1) / last
    return (below - 1 + (threshold - low) / (high - low)) / last
