"""Points of a space: values and names that belong to it."""

import math

import pytest

from cvfp_opt.store.record.point_checks import strangers


@pytest.mark.parametrize(
    ("low", "value", "high"),
    [(1e-300, 5.7e307, 1e308), (5e-324, 1.8e35, 1e308), (-1.7e308, 1.7e308, 1.7e308), (0, 1, 2)],
)
def test_the_largest_numbers_are_numbers(low: float, value: float, high: float) -> None:
    assert not list(strangers({"x": {"low": low, "high": high, "log": False}}, {"x": value}))


@pytest.mark.parametrize("value", [math.inf, math.nan, 10**400, -(10**400), True, "1", None])
def test_what_cannot_be_reckoned_with_is_no_point(value: object) -> None:
    found = list(strangers({"x": {"low": 0.0, "high": 1e308, "log": False}}, {"x": value}))
    assert [name for name, _ in found] == ["x"]
