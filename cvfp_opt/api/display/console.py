"""Consoles that read well on a terminal and in a log."""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from cvfp_opt.escaping import printable
from cvfp_opt.report.fitted import wrapped

if TYPE_CHECKING:
    from cvfp_opt.tuning.definition import StudyDefinition

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


def print_line(console: Console, text: str, *, style: str = "", width: int | None = None) -> None:
    """Print one line: a terminal breaks it between words, in a log it stays one.

    Args:
        console: where to print.
        text: of the line.
        style: of all of it.
        width: at which to break it where the console does not know that it is a terminal's.
    """
    if width is None and console.is_terminal:
        width = console.width
    lines = wrapped(printable(text), width)
    # in one piece: other processes may write to the same terminal
    console.print(Text("\n".join(lines), style=style), soft_wrap=True)


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
        print_line(console, f"kernels compiled in {seconds:.0f} s, {when}")


def blocks_for(encoding: str | None) -> str:
    """Choose what a sparkline is made of where text has this encoding."""
    from cvfp_opt.report.history import ASCII, BLOCKS

    try:
        BLOCKS.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return BLOCKS
