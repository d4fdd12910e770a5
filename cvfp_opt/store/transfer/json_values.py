"""Checked reading of plain JSON values, one by one."""

import math
import reprlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from cvfp_opt.errors import ArchiveError
from cvfp_opt.store.database.study_rows import MAX_NAME, is_text

T = TypeVar("T")

# The largest whole number that every database's columns hold.
MAX_WHOLE = 2**31 - 1
# Nothing that is written is as deep, and Python's reader of JSON is far from giving up.
_MAX_DEPTH = 64

_NUMBERS = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}


class Value:
    """A JSON value with its place; every method returns it as one type or refuses it.

    All raise ArchiveError, with the place and what was required.
    """

    def __init__(self, value: Any, where: str) -> None:
        self.value = value
        self.where = where

    def refuse(self, required: str) -> ArchiveError:
        """Make the error to raise."""
        return ArchiveError(
            f"{self.where}: {required} is required, got {reprlib.repr(self.value)}"
        )

    def members(self, *keys: str) -> "Iterator[Value]":
        """Read an object with exactly these keys: its values in their order."""
        if not isinstance(self.value, dict) or set(self.value) != set(keys):
            raise self.refuse(f"an object with {', '.join(keys)}")
        return (Value(self.value[key], f"{self.where}, {key}") for key in keys)

    def items(self) -> "Iterator[tuple[str, Value]]":
        """Read an object sorted by key; the keys are names."""
        if not isinstance(self.value, dict):
            raise self.refuse("an object")
        for key in sorted(self.value):
            name = Value(key, self.where).name()
            yield name, Value(self.value[key], f"{self.where}, {name!r}")

    def elements(self) -> "Iterator[Value]":
        """Read a list."""
        if not isinstance(self.value, list):
            raise self.refuse("a list")
        return (Value(v, f"{self.where}[{i}]") for i, v in enumerate(self.value))

    def pair(self) -> "tuple[Value, Value]":
        """Read a list of two."""
        if not isinstance(self.value, list) or len(self.value) != 2:
            raise self.refuse("a list of two")
        first, second = self.elements()
        return first, second

    def text(self) -> str:
        """Read a string."""
        if not isinstance(self.value, str):
            raise self.refuse("a string")
        return self.value

    def name(self) -> str:
        """Read a string that any database can keep as a name."""
        text = self.text()
        if not 0 < len(text) <= MAX_NAME or not is_text(text):
            raise self.refuse(f"a name of 1 to {MAX_NAME} characters")
        return text

    def whole(self, low: int, high: int = MAX_WHOLE) -> int:
        """Read a whole number in [low, high]."""
        if type(self.value) is not int or not low <= self.value <= high:
            raise self.refuse(f"a whole number from {low} to {high}")
        return self.value

    def finite(self) -> float:
        """Read a finite number."""
        if type(self.value) is float and math.isfinite(self.value):
            return self.value + 0.0
        if type(self.value) is int and abs(self.value) < 2**1023:
            return float(self.value)
        raise self.refuse("a finite number")

    def number(self, *, nan: bool) -> float:
        """Read a number; infinities and, if allowed, NaN are strings: "inf", "-inf", "nan"."""
        if isinstance(self.value, str) and self.value in _NUMBERS and (nan or self.value != "nan"):
            return _NUMBERS[self.value]
        return self.finite()

    def hexadecimal(self, digits: int) -> str:
        """Read a string of so many hexadecimal digits."""
        text = self.text()
        if len(text) != digits or not set(text) <= set("0123456789abcdef"):
            raise self.refuse(f"{digits} hexadecimal digits")
        return text

    def one_of(self, valid: dict[str, T]) -> T:
        """Read a name, and return what it stands for."""
        if self.text() not in valid:
            raise self.refuse(f"one of {', '.join(valid)}")
        return valid[self.value]

    def optional(self, read: "Callable[[Value], T]") -> T | None:
        """Read the value by ``read``; None stays None."""
        return None if self.value is None else read(self)

    def shallow(self) -> Any:
        """Read anything that is not nested absurdly deep."""
        level, depth = [self.value], 0
        while level := [v for v in level if isinstance(v, dict | list)]:
            depth += 1
            if depth > _MAX_DEPTH:
                raise ArchiveError(f"{self.where}: nested more than {_MAX_DEPTH} deep")
            level = [v for c in level for v in (c.values() if isinstance(c, dict) else c)]
        return self.value

    def kind(self, *kinds: type) -> Any:
        """Read a value of one of these types."""
        if type(self.value) not in kinds:
            raise self.refuse(" or ".join(kind.__name__ for kind in kinds))
        return self.shallow()


def plain_number(value: float) -> float | str:
    """Convert a number to JSON, as ``Value.number`` reads it."""
    if math.isfinite(value):
        return value
    return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
