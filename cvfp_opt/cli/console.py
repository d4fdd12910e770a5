"""Consoles that read well on a terminal and in a log."""

import json
import math
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from cvfp_opt.escaping import printable

if TYPE_CHECKING:
    from cvfp_opt.search.definition import StudyDefinition

LOG_WIDTH = 120
NOTEWORTHY_SECONDS = 2.0


class PlainConsole(Console):
    """A console on which text can be text only: its own escapes pass, others are shown.

    A string is one line, in a table too; lines are strings of their own.
    """

    def render_str(self, text: str, **words: Any) -> Text:
        """Make a string that is printed into text."""
        return super().render_str(printable(text), **words)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Yield the segments of what is printed."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable(text, keep="\n"), style, control)


def make_console(*, stderr: bool = False) -> Console:
    """Make a console; in a log it has no colours and a fixed width."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else LOG_WIDTH
    return PlainConsole(file=stream, width=width, markup=False, highlight=False)


def compile_once(console: Console, definition: "StudyDefinition", device: str) -> None:
    """Compile the kernels if this installation has not, and say so: it takes seconds."""
    import torch

    from cvfp_opt.model.kernel import why_unkept
    from cvfp_opt.training.warmup import compile_kernels

    with console.status("compiling the kernels, once after an installation ..."):
        seconds = compile_kernels(
            definition.training.trainer, definition.model.num_layers, torch.device(device)
        )
    if seconds > NOTEWORTHY_SECONDS:
        when = "once after an installation"
        if why_unkept():
            when = (
                "as by every process: no folder is there to keep them in; set NUMBA_CACHE_DIR to "
                "one that can be written"
            )
        console.print(f"kernels compiled in {seconds:.0f} s, {when}")


def blocks_for(encoding: str | None) -> str:
    """Choose what a sparkline is made of where text has this encoding."""
    from cvfp_opt.report.history import ASCII, BLOCKS

    try:
        BLOCKS.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return BLOCKS


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
