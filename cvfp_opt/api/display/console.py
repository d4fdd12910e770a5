"""Consoles that read well on a terminal and in a log."""

import sys
import threading
from collections.abc import Iterator
from typing import Any, Self

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from cvfp_opt.escaping import printable
from cvfp_opt.report.fitted import wrapped

LOG_WIDTH = 120


class PlainConsole(Console):
    """A console on which text can be text only: its own escapes pass, others are shown.

    A string is one line, in a table too; lines are strings of their own. Of several threads, one
    prints or draws at a time, from what it has to know of the others to the last character.
    """

    def __init__(self, **words: Any) -> None:
        super().__init__(**words)
        self._turn = threading.RLock()

    def __enter__(self) -> Self:
        # all that prints or draws enters here first, and so meets no other's lock before this one
        self._turn.acquire()
        super().__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        try:
            super().__exit__(*raised)
        finally:
            self._turn.release()

    def render_str(self, text: str, **words: Any) -> Text:
        """Make a string that is printed into text."""
        return super().render_str(printable(text), **words)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Yield the segments of what is printed."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable(text, keep="\n"), style, control)


def make_console(*, stderr: bool = False) -> PlainConsole:
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


def blocks_for(encoding: str | None) -> str:
    """Choose what a sparkline is made of where text has this encoding."""
    from cvfp_opt.report.history import ASCII, BLOCKS

    try:
        BLOCKS.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return BLOCKS
