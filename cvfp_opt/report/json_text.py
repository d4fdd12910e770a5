"""How JSON is written: one way for all that prints or sends it."""

import json
import math
from typing import Any

# What JSON has no number for, as words that Python's float() and JavaScript's Number() read.
NOT_FINITE = ("NaN", "Infinity", "-Infinity")


def json_text(value: Any, *, indent: int | None = 2) -> str:
    """Write one JSON value; what JSON has no number for becomes a word, see NOT_FINITE."""
    return json.dumps(plain_json(value), indent=indent, allow_nan=False)


def plain_json(value: Any) -> Any:
    """Replace such numbers by their words, and tuples by lists."""
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps(value)
    if isinstance(value, dict):
        return {key: plain_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(one) for one in value]
    return value
