"""One training run as a table that grows by a line per iteration."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from cvfp_opt.cli.progress import position
from cvfp_opt.report.tables import number, share
from cvfp_opt.search.definition import StudyDefinition
from cvfp_opt.training.events import Event, IterationFinished, IterationTrained
from cvfp_opt.training.events import Progress as PhaseProgress
from cvfp_opt.training.result import IterationMetrics

HEADER = (
    "iteration  weight      cvfp  diversity  residual  convergence    rank  validation    rank"
)


class TrainingTable:
    """Prints a line per iteration; on a terminal, with a bar below. A context manager."""

    def __init__(
        self, console: Console, definition: StudyDefinition, *, notices: bool = True
    ) -> None:
        self._console = console
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
        self._untold: IterationMetrics | None = None

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
        if self._untold is not None:  # a last pass, which no training followed
            self._row(self._untold)

    def observe(self, event: Event) -> None:
        """An Observer."""
        if isinstance(event, IterationFinished):
            self._untold = event.metrics
        elif isinstance(event, IterationTrained):
            self._untold = None
            self._row(event.metrics)
        elif isinstance(event, PhaseProgress):
            description = (
                f"iteration {event.iteration + 1}/{self._iterations}  {event.phase.value}"
            )
            self._bar.update(self._task, completed=position(event), description=description)

    def _row(self, metrics: IterationMetrics) -> None:
        cells = [
            (str(metrics.iteration), 9),
            (number(metrics.weight, 2), 8),
            (number(metrics.cvfp_loss, 4), 10),
            (number(metrics.diversity_loss, 4), 11),
            (number(metrics.residual, 4), 10),
            (share(metrics.convergence_rate), 13),
            (share(metrics.effective_rank), 8),
            (share(metrics.validation_convergence_rate), 12),
            (share(metrics.validation_effective_rank), 8),
        ]
        self._print("".join(text.rjust(width) for text, width in cells))

    def _print(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)
