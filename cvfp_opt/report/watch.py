"""A study while it is being searched: a picture for a terminal, a line for a log."""

import time
from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderableType
from rich.rule import Rule
from rich.text import Text

from cvfp_opt.escaping import printable
from cvfp_opt.report.bars import Bars, study_bar
from cvfp_opt.report.confirmation_words import confirmation_line
from cvfp_opt.report.extent import extent_lines, num_passes, seconds_left, trials_words
from cvfp_opt.report.fitted import FittedTable, cells
from cvfp_opt.report.history import BLOCKS, best_so_far, history_line, sparkline
from cvfp_opt.report.judgement import judge
from cvfp_opt.report.tables import best_table, terminal_table
from cvfp_opt.report.words import moment, number, parameter, short_name, value_words
from cvfp_opt.store.record.queue_entry import QueueState
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import Summary

_STYLES = {
    "complete": "green",
    "pruned": "yellow",
    "fail": "red",
    "running": "cyan",
    "waiting": "dim",
}
MAX_RUNNING = 8
NUM_BEST = 3
# Of a picture, but for the running trials, at 80 columns.
_OTHER_LINES = 22
SPARKLINE_WIDTHS = (10, 72)


def watch_line(summary: Summary, now: float, blocks: str = BLOCKS) -> str:
    """Write state, best and history at ``now`` (epoch seconds), in one line."""
    parts = [moment(now), trials_words(summary, "no trial yet"), *extent_lines(summary)]
    best = summary.best
    if best is not None:
        parts.append(f"best: trial {best.number} with {value_words(summary, best)}")
        parts.append(sparkline(best_so_far(summary), 20, blocks))
    return "  ".join(part for part in parts if part)


class WatchView:
    """Draws a study as wide as the terminal is at the moment.

    Attributes:
        summary: what to draw; ``show`` exchanges it.
        seen: when it was taken, epoch seconds.
    """

    def __init__(self, summary: Summary, blocks: str = BLOCKS) -> None:
        self._blocks = blocks
        self.show(summary)

    def show(self, summary: Summary) -> None:
        """Draw this from now on."""
        self.summary, self.seen = summary, time.time()

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        summary, width = self.summary, options.max_width
        yield self._title()
        if (total := summary.queue.total) is not None:
            left = seconds_left(summary, self.seen)
            bar = study_bar(done=summary.num_finished, total=total, best=summary.best, left=left)
            yield Bars(bars=[bar])
        yield self._states()
        if summary.queue.state is not QueueState.OPEN:
            for extent in extent_lines(summary):
                yield Text(printable(extent), "dim")
        low, high = SPARKLINE_WIDTHS
        line = history_line(summary, width=min(max(width - 34, low), high), blocks=self._blocks)
        if line and cells(line) <= width:
            yield Text(line, no_wrap=True)
        running = [trial for trial in summary.trials if trial.state == "running"]
        if running:
            yield Text()
            # a picture that is higher than the terminal would be cut
            most = max(1, min(MAX_RUNNING, console.height - _OTHER_LINES))
            yield self._running(running[:most])
            if len(running) > most:
                yield Text(f"and {len(running) - most} more", "dim")
        if summary.best is not None and summary.record is not None:
            yield Text()
            yield best_table(summary.ranking[:NUM_BEST])
            yield Text()
            yield Text(printable(judge(summary)))
            if confirmed := confirmation_line(summary):
                yield Text(printable(confirmed))
        yield Text("^C ends the watching, not the search", "dim")

    def _title(self) -> Rule:
        words = Text.assemble((printable(self.summary.name), "bold"), f"  {moment(self.seen)}")
        return Rule(words, align="left", style="dim", characters="-")

    def _states(self) -> Text:
        """Write how many trials are in each state."""
        line = Text()
        for state, count in self.summary.counts.items():
            if count:
                line.append(f"{count} {state}  ", _STYLES[state])
        line.rstrip()
        return line or Text("no trial yet")

    def _running(self, trials: list[TrialRecord]) -> FittedTable:
        total = num_passes(self.summary)
        names = list(dict.fromkeys(name for trial in trials for name in trial.params))
        rows = []
        for trial in trials:
            steps = max(len(trial.iterations), len(trial.reported))
            last = trial.reported[max(trial.reported)] if trial.reported else None
            values = (parameter(trial.params[n]) if n in trial.params else "-" for n in names)
            at = f"{steps}/{total}" if total else str(steps)
            rows.append((str(trial.number), at, number(last), *values))
        columns = ("running", "passes", "score", *map(short_name, names))
        return terminal_table(columns, rows, least=range(len(columns) - 1, 2, -1))
