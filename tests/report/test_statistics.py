"""Student's t and what follows from it, against closed forms and tables."""

import math
import statistics

import numpy as np
import pytest

from cvfp_opt.report.statistics import (
    Interval,
    expected_maximum,
    pooled_spread,
    t_cdf,
    t_quantile,
)

# Two-sided 95 % points of any table of Student's t.
TABLE = {1: 12.7062, 2: 4.3027, 3: 3.1824, 4: 2.7764, 5: 2.5706, 9: 2.2622, 30: 2.0423}


@pytest.mark.parametrize("t", [-40.0, -2.0, -0.3, 0.0, 0.7, 3.0, 100.0])
def test_the_distribution_has_its_closed_forms(t: float) -> None:
    assert t_cdf(t, 1) == pytest.approx(0.5 + math.atan(t) / math.pi, abs=1e-14)
    assert t_cdf(t, 2) == pytest.approx(0.5 + t / (2 * math.sqrt(2 + t * t)), abs=1e-14)
    cube = t / (math.sqrt(3) * (1 + t * t / 3)) + math.atan(t / math.sqrt(3))
    assert t_cdf(t, 3) == pytest.approx(0.5 + cube / math.pi, abs=1e-14)
    root = t / math.sqrt(4 + t * t)
    assert t_cdf(t, 4) == pytest.approx(0.5 + 0.75 * (root - root**3 / 3), abs=1e-14)


def test_quantiles_are_those_of_the_tables_and_undo_the_distribution() -> None:
    for degrees, t in TABLE.items():
        assert t_quantile(0.975, degrees) == pytest.approx(t, abs=5e-5)
        assert t_quantile(0.025, degrees) == -t_quantile(0.975, degrees)
        for share in (0.01, 0.5, 0.8, 0.9999):
            assert t_cdf(t_quantile(share, degrees), degrees) == pytest.approx(share, abs=1e-12)


def test_many_degrees_of_freedom_are_the_normal_distribution() -> None:
    normal = statistics.NormalDist()
    for t in (-1.5, 0.2, 2.5):
        assert t_cdf(t, 100_000) == pytest.approx(normal.cdf(t), abs=1e-5)


def test_an_interval_is_the_textbook_s() -> None:
    found = Interval.of([1.0, 2.0, 3.0, 4.0, 5.0])
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    half = 2.7764451 * math.sqrt(2.5 / 5)
    assert (found.mean, found.spread) == (3.0, pytest.approx(math.sqrt(2.5)))
    assert (found.low, found.high) == (pytest.approx(3 - half), pytest.approx(3 + half))
    assert found.highest_next == pytest.approx(3 + 2.7764451 * math.sqrt(2.5 * 1.2))
    assert found.probability_positive == pytest.approx(t_cdf(3 / math.sqrt(0.5), 4))


def test_few_values_say_little() -> None:
    assert Interval.of([]) is None
    alone = Interval.of([0.5])
    assert alone == Interval(count=1, mean=0.5)
    assert alone.highest_next is None
    assert alone.probability_positive is None
    for value, probability in ((-0.5, 0.0), (0.0, 0.5), (0.5, 1.0)):
        same = Interval.of([value] * 3)
        assert same is not None
        assert (same.low, same.high) == (value, value)
        assert same.probability_positive == probability


def test_intervals_cover_and_probabilities_are_calibrated() -> None:
    """Of true means, 95 % lie in their intervals; of next draws, 97.5 % below the bound."""
    draws = np.random.default_rng(3).normal(0.3, 0.2, size=(4000, 6))
    found = [Interval.of(list(map(float, row[:5]))) for row in draws]
    inside = [one is not None and one.low < 0.3 < one.high for one in found]  # type: ignore[operator]
    below = [row[5] < one.highest_next for row, one in zip(draws, found, strict=True)]  # type: ignore[union-attr]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.012)
    assert np.mean(below) == pytest.approx(0.975, abs=0.009)


def test_the_spread_within_groups() -> None:
    assert pooled_spread([[1.0], []]) is None
    pooled = pooled_spread([[1.0, 3.0], [10.0, 10.0, 10.0], [7.0]])
    assert pooled == pytest.approx(math.sqrt(2.0 / 3))


def test_the_expected_largest_of_some_draws() -> None:
    root = math.sqrt(math.pi)
    assert expected_maximum(1) == pytest.approx(0.0, abs=1e-9)
    assert expected_maximum(2) == pytest.approx(1 / root, abs=1e-7)
    assert expected_maximum(3) == pytest.approx(1.5 / root, abs=1e-7)
    assert expected_maximum(4) == pytest.approx(1.0293753730, abs=1e-7)
    assert expected_maximum(50) == pytest.approx(2.2490736294, abs=1e-6)
    largest = np.random.default_rng(1).normal(size=(20_000, 20)).max(axis=1)
    assert expected_maximum(20) == pytest.approx(float(largest.mean()), abs=0.015)
