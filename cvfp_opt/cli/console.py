"""What commands print: lines and JSON on standard output."""

from collections.abc import Iterable
from typing import Any

import click

from cvfp_opt.escaping import printable
from cvfp_opt.report.json_text import json_text


def echo(line: str = "", *, err: bool = False) -> None:
    """Print one plain line to standard output, or standard error; never wrapped."""
    click.echo(printable(line), err=err)


def print_lines(lines: Iterable[str]) -> None:
    """Print plain lines to standard output; never wrapped."""
    for line in lines:
        echo(line)


def print_json(value: Any) -> None:
    """Print one JSON value; what JSON has no number for becomes a word."""
    click.echo(json_text(value))
