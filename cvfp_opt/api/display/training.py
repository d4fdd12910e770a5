"""One training run as a table that grows by a line per iteration."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import NamedTuple, Self

from cvfp_opt.api.display.console import PlainConsole, print_line
from cvfp_opt.api.display.drawing import Drawing, compile_once
from cvfp_opt.api.display.search import position
from cvfp_opt.report.bars import Bar, Bars
from cvfp_opt.report.fitted import Part
from cvfp_opt.report.words import duration, number, share
from cvfp_opt.training.events import Event, IterationFinished, IterationTrained
from cvfp_opt.training.events import Progress as PhaseProgress
from cvfp_opt.training.result import IterationMetrics
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.stopping import StopRequest


class Column(NamedTuple):
    """A column of the table.

    Attributes:
        name: its heading.
        width: in cells.
        importance: on a narrow terminal those of a lower one are left out.
        write: its figure.
    """

    name: str
    width: int
    importance: int
    write: Callable[[IterationMetrics], str]


COLUMNS = (
    Column("pass", 6, 9, lambda metrics: str(metrics.iteration + 1)),
    Column("weight", 8, 3, lambda metrics: number(metrics.weight, 2)),
    Column("cvfp", 10, 2, lambda metrics: number(metrics.cvfp_loss, 4)),
    Column("diversity", 11, 1, lambda metrics: number(metrics.diversity_loss, 4)),
    Column("residual", 10, 4, lambda metrics: number(metrics.residual, 4)),
    Column("convergence", 13, 8, lambda metrics: share(metrics.convergence_rate)),
    Column("rank", 8, 7, lambda metrics: share(metrics.effective_rank)),
    Column("validation", 12, 6, lambda metrics: share(metrics.validation_convergence_rate)),
    Column("rank", 8, 5, lambda metrics: share(metrics.validation_effective_rank)),
)
# Seconds from which on an estimate of the time left is worth a line in a log.
LONG = 120.0


class TrainingTable:
    """Prints a line per iteration; on a terminal, with a bar below. A context manager."""

    def __init__(
        self,
        console: PlainConsole,
        definition: StudyDefinition,
        *,
        notices: bool = True,
        stop: StopRequest | None = None,
    ) -> None:
        self._console = console
        self._stop = stop
        self._iterations = definition.training.num_iterations
        for notice in definition.notices() if notices else []:
            self._print(f"note: {notice}")
        self._bar = Bar(label="training", done=0.0, total=self._iterations)
        self._drawing = Drawing(console, self.bars)
        self._columns = columns_for(self._width)
        self._unprinted: IterationMetrics | None = None
        self._begun: tuple[float, float] | None = None  # when, and at which position
        self._estimated = False

    @property
    def _width(self) -> int | None:
        return self._console.width if self._console.is_terminal else None

    def notice(self, text: str) -> None:
        """Print one line between the rows."""
        self._print(text)

    def __enter__(self) -> Self:
        self._print("".join(column.name.rjust(column.width) for column in self._columns))
        self._drawing.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._drawing.__exit__(kind, error, trace)
        if self._unprinted is not None:  # a last pass, which no training followed
            self._row(self._unprinted)

    def observe(self, event: Event) -> None:
        """Print what an event brings; an Observer of the training."""
        if self._stop is not None:
            self._stop.check()
        if isinstance(event, IterationFinished):
            self._unprinted = event.metrics
        elif isinstance(event, IterationTrained):
            self._unprinted = None
            self._row(event.metrics)
        elif isinstance(event, PhaseProgress):
            at = position(event)
            parts = [
                Part(f"pass {event.iteration + 1}/{self._iterations}", 9),
                Part(event.phase.value, 7),
            ]
            if (left := self._left(at)) is not None:
                parts.append(Part(f"{duration(left)} left at most", 8))
            self._bar = Bar(label="training", done=at, total=self._iterations, parts=parts)

    def bars(self) -> Bars:
        """Draw how far the run is now."""
        return Bars(bars=[self._bar])

    def _left(self, now: float) -> float | None:
        """Estimate the seconds left if no pass is spared, by what was done so far."""
        if self._begun is None:
            self._begun = (time.monotonic(), now)
        since, start = self._begun
        if now - start < 0.5:  # too little to judge by
            return None
        left = (time.monotonic() - since) * (self._iterations - now) / (now - start)
        if (
            not self._estimated
            and not self._console.is_terminal
            and now - start >= 1  # one whole pass, so between two rows
            and left > LONG
        ):
            self._estimated = True
            self._print(f"about {duration(left)} left, if no pass is spared")
        return left

    def _row(self, metrics: IterationMetrics) -> None:
        self._print("".join(one.write(metrics).rjust(one.width) for one in self._columns))

    def _print(self, text: str) -> None:
        print_line(self._console, text)


def columns_for(width: int | None) -> list[Column]:
    """Choose the columns that have room; all of them where there is no width."""
    room = sum(column.width for column in COLUMNS) if width is None else width
    chosen = []
    for column in sorted(COLUMNS, key=lambda column: -column.importance):
        room -= column.width
        if room >= 0:
            chosen.append(column)
    return [column for column in COLUMNS if column in chosen]


class ConsoleTraining:
    """Shows training runs as tables on a console; a TrainingView."""

    def __init__(self, console: PlainConsole) -> None:
        self._console = console

    def notify(self, text: str) -> None:
        print_line(self._console, text)

    def compile(self, definition: StudyDefinition, device: str) -> None:
        compile_once(self._console, definition, device)

    @contextmanager
    def show(
        self, definition: StudyDefinition, *, notices: bool = True
    ) -> Iterator[TrainingTable]:
        """Show a run that ^C or SIGTERM stops between two events."""
        with (
            StopRequest(lambda: self._console.print("stopping ...")) as stop,
            TrainingTable(self._console, definition, notices=notices, stop=stop) as table,
        ):
            yield table
