"""``status --watch``: look at a study again and again, until nothing runs or waits in it."""

import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from cvfp_opt.api.display.console import PlainConsole, blocks_for
from cvfp_opt.api.display.drawing import Drawing
from cvfp_opt.cli.streams import lost_output
from cvfp_opt.escaping import printable

if TYPE_CHECKING:
    from cvfp_opt.store.record.summary import Summary

# Looks in a row that must find nothing running: between two trials of a worker there is a gap.
LOOKS_AT_REST = 2


def watch(look: "Callable[[], Summary]", seconds: float, console: PlainConsole) -> None:
    """Draw on a terminal, print lines in a log; ends with the study, or with ^C and its code.

    Args:
        look: takes a snapshot of the study.
        seconds: between two.
        console: standard output.
    """
    from cvfp_opt.tuning.stopping import SearchStopped, StopRequest, pause

    try:
        with StopRequest(lambda: None) as stop:
            show = _draw if console.is_terminal else _print
            show(look, partial(pause, stop, seconds), console)
    except SearchStopped as stopped:
        sys.exit(stopped.exit_code)


def _draw(look: "Callable[[], Summary]", pause: Callable[[], None], console: PlainConsole) -> None:
    from cvfp_opt.report.watch import WatchView

    view = WatchView(look(), blocks_for(console.encoding))
    with Drawing(console, lambda: view, transient=False):
        follow(look, view.show, pause)


def _print(
    look: "Callable[[], Summary]", pause: Callable[[], None], console: PlainConsole
) -> None:
    """Print a line for each change."""
    from cvfp_opt.report.watch import watch_line

    shown: list[object] = []

    def show(summary: "Summary") -> None:
        state = [summary.counts, summary.best and summary.best.number]
        if state != shown:
            shown[:] = state
            line = watch_line(summary, time.time(), blocks_for(console.encoding))
            console.print(printable(line), soft_wrap=True)

    follow(look, show, pause)


def follow(
    look: "Callable[[], Summary]",
    show: "Callable[[Summary], None]",
    pause: Callable[[], None],
) -> None:
    """Look, show, pause, until a study with trials was at rest in LOOKS_AT_REST looks."""
    at_rest = 0
    while True:
        summary = look()
        show(summary)
        counts = summary.counts
        resting = summary.trials and not counts["running"] and not counts["waiting"]
        at_rest = at_rest + 1 if resting else 0
        if at_rest == LOOKS_AT_REST or lost_output():  # or nobody sees it
            return
        pause()
