"""Student's t, intervals for a mean, and what the best of several draws is by luck.

Written out, for the few degrees of freedom of a handful of seeds, instead of a dependency on
scipy.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

LEVEL = 0.95


def t_cdf(t: float, degrees: int) -> float:
    """Compute P(T <= t) of Student's t with a whole number of degrees of freedom.

    With ``theta = atan(t / sqrt(n))``, A = P(|T| <= t) is a finite sum: for odd n
    ``2/pi (theta + sin theta (cos theta + 2/3 cos^3 theta + ...))``, for even n
    ``sin theta (1 + 1/2 cos^2 theta + 3/8 cos^4 theta + ...)``. Source: Abramowitz and Stegun,
    Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
    """
    theta = math.atan2(t, math.sqrt(degrees))
    sine, cosine = math.sin(theta), math.cos(theta)
    odd = degrees % 2
    term, total = (cosine, 0.0) if odd else (1.0, 0.0)
    for k in range(odd, degrees - 1, 2):
        total += term
        term *= cosine**2 * (k + 1) / (k + 2)
    inside = 2.0 / math.pi * (theta + sine * total) if odd else sine * total
    return min(1.0, max(0.0, 0.5 + inside / 2.0))


def t_quantile(share: float, degrees: int) -> float:
    """Compute the t below which ``share`` in (0, 1) of Student's distribution lies."""
    if share < 0.5:
        return -t_quantile(1.0 - share, degrees)
    low, high = 0.0, 1.0
    while t_cdf(high, degrees) < share:
        low, high = high, 2.0 * high
    for _ in range(100):  # halved to the last bit
        middle = (low + high) / 2.0
        low, high = (middle, high) if t_cdf(middle, degrees) < share else (low, middle)
    return high


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean with its t interval: ``mean -/+ t(0.975, n - 1) s / sqrt(n)``.

    Attributes:
        count: n.
        mean: of the values.
        spread: s, their standard deviation (n - 1); None of a single one.
        low, high: of the interval at LEVEL; None of a single value.
    """

    count: int
    mean: float
    spread: float | None = None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Interval | None":
        """Compute the interval of some values; None of none."""
        count = len(values)
        if count == 0:
            return None
        mean = math.fsum(values) / count
        if count == 1:
            return cls(count=1, mean=mean)
        spread = statistics.stdev(values)
        half = t_quantile(0.5 + LEVEL / 2, count - 1) * spread / math.sqrt(count)
        return cls(count=count, mean=mean, spread=spread, low=mean - half, high=mean + half)

    @property
    def highest_next(self) -> float | None:
        """The bound below which 97.5 % of what one more draw gives lie.

        ``mean + t(0.975, n - 1) s sqrt(1 + 1 / n)``; None of a single value.
        """
        if self.spread is None:
            return None
        t = t_quantile(0.5 + LEVEL / 2, self.count - 1)
        return self.mean + t * self.spread * math.sqrt(1.0 + 1.0 / self.count)

    @property
    def probability_positive(self) -> float | None:
        """P(true mean > 0), with a flat prior on mean and log spread.

        Then ``(true mean - mean) / (s / sqrt(n))`` has Student's distribution with n - 1 degrees
        of freedom, so it is ``F(mean sqrt(n) / s)``. None of a single value.
        """
        if self.spread is None:
            return None
        if self.spread == 0.0:
            return 0.5 if self.mean == 0.0 else float(self.mean > 0.0)
        return t_cdf(self.mean * math.sqrt(self.count) / self.spread, self.count - 1)


def pooled_spread(groups: Sequence[Sequence[float]]) -> float | None:
    """Compute the standard deviation within groups; None if no group has two values.

    ``sqrt(sum of (n - 1) s^2 / sum of (n - 1))``.
    """
    degrees = sum(len(group) - 1 for group in groups if len(group) > 1)
    if degrees == 0:
        return None
    squares = (statistics.variance(group) * (len(group) - 1) for group in groups if len(group) > 1)
    return math.sqrt(math.fsum(squares) / degrees)


def expected_maximum(count: int) -> float:
    """Compute the expected largest of ``count`` independent standard normal draws.

    ``integral of 1 - Phi(x)^n - [x < 0] dx``, by the trapezoidal rule on [-9, 9]: for a function
    as smooth as that, with 0 cut out, it errs by less than 1e-6.
    """
    step = 1.0 / 512
    cdf = statistics.NormalDist().cdf
    above = math.fsum(1.0 - cdf(i * step) ** count for i in range(1, 9 * 512))
    below = math.fsum(cdf(-i * step) ** count for i in range(1, 9 * 512))
    ends = (1.0 - 2.0 * 0.5**count) / 2.0  # half of each side's value at 0
    return step * (above - below + ends)
