"""One training run as a table that grows by a line per iteration."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from cvfp_opt.api.display.console import compile_once
from cvfp_opt.api.display.search import position
from cvfp_opt.escaping import printable
from cvfp_opt.report.words import duration, number, share
from cvfp_opt.training.events import Event, IterationFinished, IterationTrained
from cvfp_opt.training.events import Progress as PhaseProgress
from cvfp_opt.training.result import IterationMetrics
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.stopping import StopRequest

# Name, width and figure of each column.
COLUMNS: tuple[tuple[str, int, Callable[[IterationMetrics], str]], ...] = (
    ("iteration", 9, lambda metrics: str(metrics.iteration)),
    ("weight", 8, lambda metrics: number(metrics.weight, 2)),
    ("cvfp", 10, lambda metrics: number(metrics.cvfp_loss, 4)),
    ("diversity", 11, lambda metrics: number(metrics.diversity_loss, 4)),
    ("residual", 10, lambda metrics: number(metrics.residual, 4)),
    ("convergence", 13, lambda metrics: share(metrics.convergence_rate)),
    ("rank", 8, lambda metrics: share(metrics.effective_rank)),
    ("validation", 12, lambda metrics: share(metrics.validation_convergence_rate)),
    ("rank", 8, lambda metrics: share(metrics.validation_effective_rank)),
)
HEADER = "".join(name.rjust(width) for name, width, _ in COLUMNS)
# Seconds from which on an estimate of the time left is worth a line in a log.
LONG = 120.0


class TrainingTable:
    """Prints a line per iteration; on a terminal, with a bar below. A context manager."""

    def __init__(
        self,
        console: Console,
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
        self._bar = Progress(
            BarColumn(bar_width=24),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=self._iterations)
        self._unprinted: IterationMetrics | None = None
        self._begun: tuple[float, float] | None = None  # when, and at which position
        self._estimated = False

    def notice(self, text: str) -> None:
        """Print one line between the rows."""
        self._print(text)

    def __enter__(self) -> Self:
        self._print(HEADER)
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()
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
            left = self._left(position(event))
            description = (
                f"iteration {event.iteration + 1}/{self._iterations}  {event.phase.value:<18}"
            )
            if left is not None:
                description += f"  {duration(left)} left at most"
            self._bar.update(self._task, completed=position(event), description=description)

    def _left(self, now: float) -> float | None:
        """Estimate the seconds left if no iteration is spared, by what was done so far."""
        if self._begun is None:
            self._begun = (time.monotonic(), now)
        since, start = self._begun
        if now - start < 0.5:  # too little to judge by
            return None
        left = (time.monotonic() - since) * (self._iterations - now) / (now - start)
        if (
            not self._estimated
            and not self._console.is_terminal
            and now - start >= 1  # one whole iteration, so between two rows
            and left > LONG
        ):
            self._estimated = True
            self._print(f"about {duration(left)} left, if no iteration is spared")
        return left

    def _row(self, metrics: IterationMetrics) -> None:
        self._print("".join(take(metrics).rjust(width) for _, width, take in COLUMNS))

    def _print(self, text: str) -> None:
        self._console.print(Text(printable(text)), soft_wrap=True)


class ConsoleTraining:
    """Shows training runs as tables on a console; a TrainingView."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def notify(self, text: str) -> None:
        self._console.print(Text(printable(text)), soft_wrap=True)

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
