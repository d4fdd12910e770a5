"""Checks of numbers that a database or a file may hold."""

import math
from typing import Any

# Epoch seconds of the year 10000.
_LAST_MOMENT = 253402300800.0


def is_number(value: Any) -> bool:
    """Check whether a value is a number that can be reckoned with: not one of 400 digits."""
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**1023)


def is_finite(value: Any) -> bool:
    """Check whether a value is a number, and neither infinite nor NaN, nor a truth value."""
    return not isinstance(value, bool) and is_number(value) and math.isfinite(value)


def is_whole(value: Any, end: int) -> bool:
    """Check whether a value is a whole number from 0 to below ``end``."""
    return type(value) is int and 0 <= value < end


def parse_whole(digits: str, *, max_digits: int) -> int:
    """Parse a whole number of JSON; more digits would take long, and more than any number has.

    Raises:
        ValueError: it has more digits.
    """
    if len(digits) > max_digits:
        raise ValueError(f"a whole number of {len(digits)} digits")
    return int(digits)


def is_moment(value: Any) -> bool:
    """Check whether a value is a time in epoch seconds that a calendar has."""
    return is_finite(value) and 0.0 <= value < _LAST_MOMENT
