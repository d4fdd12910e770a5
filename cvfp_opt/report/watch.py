"""A study while it is being searched: a picture for a terminal, a line for a log."""

import time
from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from cvfp_opt.escaping import printable
from cvfp_opt.report.confirmation_words import confirmation_line
from cvfp_opt.report.extent import extent_lines, trials_words
from cvfp_opt.report.history import BLOCKS, best_so_far, history_line, sparkline
from cvfp_opt.report.judgement import judge
from cvfp_opt.report.rows import SCORED, quantity_rows
from cvfp_opt.report.words import moment, number, parameters_line, value_words
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
        yield self._states(width)
        for extent in extent_lines(summary):
            yield Text(printable(extent), "dim")
        low, high = SPARKLINE_WIDTHS
        line = history_line(summary, width=min(max(width - 34, low), high), blocks=self._blocks)
        if line:
            yield Text(line, no_wrap=True, overflow="ellipsis")
        running = [trial for trial in summary.trials if trial.state == "running"]
        if running:
            yield Text()
            yield self._running(running[:MAX_RUNNING])
        if len(running) > MAX_RUNNING:
            yield Text(f"and {len(running) - MAX_RUNNING} more", "dim")
        if summary.best is not None and summary.record is not None:
            yield Text()
            yield _best(summary.ranking[:NUM_BEST])
            yield Text()
            yield Text(printable(judge(summary)))
            if confirmed := confirmation_line(summary):
                yield Text(printable(confirmed))
        yield Text("^C ends the watching, not the search", "dim")

    def _title(self) -> Rule:
        words = Text.assemble((printable(self.summary.name), "bold"), f"  {moment(self.seen)}")
        if self.summary.queue.total is not None:
            words.append(f"  {self.summary.num_finished}/{self.summary.queue.total}")
        return Rule(words, align="left", style="dim", characters="-")

    def _states(self, width: int) -> Text:
        """Draw counts, and a bar with a share for each state if there is room."""
        counts = {state: n for state, n in self.summary.counts.items() if n}
        total, line = sum(counts.values()), Text()
        for state, count in counts.items():
            line.append(f"{count} {state}  ", _STYLES[state])
        room = min(width - line.cell_len, 40)
        if room >= len(counts) > 0:
            full = "█" if self._blocks == BLOCKS else "#"
            for state, count in counts.items():
                line.append(full * max(1, room * count // total), _STYLES[state])
        return line or Text("no trial yet")

    def _running(self, trials: list[TrialRecord]) -> Table:
        record = self.summary.record
        training = record.definition.get("training", {}) if record is not None else {}
        total = training.get("num_iterations")
        table = _table("running", "pass", "score")
        for trial in trials:
            steps = max(len(trial.iterations), len(trial.reported))
            last = trial.reported[max(trial.reported)] if trial.reported else None
            table.add_row(
                str(trial.number),
                f"{steps}/{total}" if total else str(steps),
                number(last),
                parameters_line(trial.params),
            )
        return table


def _best(trials: list[TrialRecord]) -> Table:
    rows = quantity_rows(trials, SCORED)
    table = _table("best", *rows.columns[1:])
    for words, trial in zip(rows.words(), trials, strict=True):
        table.add_row(*words, parameters_line(trial.params))
    return table


def _table(*figures: str) -> Table:
    """Make a table whose figures keep their width; parameters take what is left of the line."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in figures:
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("parameters", no_wrap=True, overflow="ellipsis")
    return table
