"""What commands print: lines and JSON on standard output."""

import json
import math
from collections.abc import Iterable
from typing import Any

import click

from cvfp_opt.escaping import printable


def echo(line: str = "", *, err: bool = False) -> None:
    """Print one plain line to standard output, or standard error; never wrapped."""
    click.echo(printable(line), err=err)


def print_lines(lines: Iterable[str]) -> None:
    """Print plain lines to standard output; never wrapped."""
    for line in lines:
        echo(line)


def print_json(value: Any) -> None:
    """Print one JSON value; what JSON has no number for becomes a word."""
    click.echo(json.dumps(_finite(value), indent=2, allow_nan=False))


def _finite(value: Any) -> Any:
    """Replace such numbers by ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``."""
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps(value)
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return value
