"""What commands print: lines and JSON on standard output."""

import sys
from collections.abc import Iterable
from typing import Any, TextIO

import click

from cvfp_opt.api.display.console import make_console
from cvfp_opt.escaping import printable
from cvfp_opt.report.fitted import typed, wrapped
from cvfp_opt.report.json_text import json_text


def width_of(stream: TextIO) -> int | None:
    """Tell how wide a terminal is; None where the stream is none, and lines stay whole."""
    if not stream.isatty():
        return None
    return make_console(stderr=stream is sys.stderr).width


def terminal_width() -> int | None:
    """Tell how wide the terminal is that standard output goes to; None if it is none."""
    return width_of(sys.stdout)


def echo(line: str = "", *, err: bool = False) -> None:
    """Print one plain line to standard output, or standard error.

    A terminal breaks it between words; in a file it stays one line.
    """
    print_lines([line], err=err)


def print_lines(lines: Iterable[str], *, err: bool = False) -> None:
    """Print plain lines, as ``echo`` does."""
    width = width_of(sys.stderr if err else sys.stdout)
    for line in lines:
        for one in wrapped(printable(line), width):
            click.echo(one, err=err)


def print_whole(lines: Iterable[str]) -> None:
    """Print lines that mean something to a program; never broken."""
    for line in lines:
        click.echo(printable(line))


def print_typed(label: str, command: str, *, room: int = 0) -> None:
    """Print a command after what it is for, so that it can be copied."""
    for line in typed(label, printable(command), terminal_width(), room=room):
        click.echo(printable(line))


def print_json(value: Any) -> None:
    """Print one JSON value; what JSON has no number for becomes a word."""
    click.echo(json_text(value))
