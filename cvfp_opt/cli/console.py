"""Consoles that read well on a terminal and in a log."""

import json
import sys
from typing import Any

import click
from rich.console import Console

LOG_WIDTH = 120


def make_console(*, stderr: bool = False) -> Console:
    """A console; in a log it has no colours and a fixed width."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else LOG_WIDTH
    return Console(file=stream, width=width, highlight=False, soft_wrap=False)


def print_lines(lines: list[str]) -> None:
    """Plain lines to standard output; never wrapped."""
    for line in lines:
        click.echo(line)


def print_json(value: Any) -> None:
    """One JSON value to standard output."""
    click.echo(json.dumps(value, indent=2))
