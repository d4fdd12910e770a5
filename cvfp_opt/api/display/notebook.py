"""Bars in a notebook: of a search, with the best so far, and of a training run.

tqdm draws them: as widgets where ipywidgets is installed, else as text.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self

from cvfp_opt.api.display.console import LOG_WIDTH, PlainConsole
from cvfp_opt.api.display.drawing import compile_once
from cvfp_opt.api.display.protocol import View
from cvfp_opt.api.display.search import header_lines, header_notes, position, shares_words
from cvfp_opt.api.display.training import TrainingTable
from cvfp_opt.escaping import excerpt, listed, printable
from cvfp_opt.report.words import number, reason_words
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.record.progress import StudyProgress
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import untrained_score
from cvfp_opt.store.record.trial_attributes import StoredEnvironment
from cvfp_opt.training.events import Event, Progress
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.plan import Plan
from cvfp_opt.tuning.stopping import StopRequest

# Seconds between two pictures of a bar: a widget's is a message to the browser.
INTERVAL = 0.25
_LONGEST_NAME = 40


def bar_class() -> Any:
    """Choose a class of tqdm's: widgets, or text on stderr."""
    if find_spec("ipywidgets") is not None:
        from tqdm.notebook import tqdm
    else:
        from tqdm.std import tqdm
    return tqdm


def make_bar(name: str, total: int, *, done: int = 0, unit: str) -> Any:
    """Make a bar, which is drawn at once.

    Args:
        name: what it is of, anybody's.
        total, done: in units.
        unit: of what it counts.
    """
    bar = bar_class()(
        total=total,
        initial=done,
        unit=unit,
        miniters=0,  # so that ``update(0)`` draws a new text
        mininterval=INTERVAL,
        file=sys.stderr,
    )
    # not as an argument: of that the widget makes HTML, unescaped
    bar.set_description_str(excerpt(name, _LONGEST_NAME))
    return bar


def show_line(text: str) -> None:
    """Print a line above the bars that there are."""
    bar_class().write(printable(text), file=sys.stdout)


def plain_console() -> PlainConsole:
    """Make a console that prints lines.

    A kernel tells rich that it is a terminal (FORCE_COLOR), and rich knows Jupyter, too: either
    way there would be controls or widgets of rich's between the lines.
    """
    return PlainConsole(
        file=sys.stdout,
        width=LOG_WIDTH,
        markup=False,
        highlight=False,
        force_jupyter=False,
        force_terminal=False,
    )


class NotebookDisplay:
    """Shows a search as one bar, and what is noteworthy as lines; a SearchDisplay.

    Args:
        definition: of the study.
        total: trials of the study in all.
        processes: that run trials side by side.
        lanes: trials at once in each.
    """

    def __init__(
        self, definition: StudyDefinition, total: int, processes: int = 1, lanes: int = 1
    ) -> None:
        self._definition = definition
        self._iterations = definition.training.num_iterations
        self._total = total
        self._processes, self._lanes = processes, lanes
        self._name, self._done, self._best = "study", 0, ""
        self._running: dict[int, float] = {}
        self._bar: Any = None

    def __enter__(self) -> Self:
        self._bar = make_bar(self._name, self._total, done=self._done, unit="trial")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._running.clear()
        self._draw()
        self._bar.close()

    def header(
        self,
        plan: Plan,
        location: Location,
        environment: StoredEnvironment,
        done: int | None,
        place: str = "",
    ) -> None:
        shares = shares_words(self._processes, self._lanes, environment["threads"])
        computed = place or f"{environment['device']}{shares}"
        self._name, self._done = f"study {plan.name}", done or 0
        for line in header_lines(plan, location, done, self._total, computed):
            show_line(line)
        for note in header_notes(plan):
            show_line(note)

    def compile(self, device: str) -> None:
        compile_once(plain_console(), self._definition, device)

    def notice(self, text: str) -> None:
        show_line(text)

    def stopping(self) -> None:
        show_line("stopping: giving the running trials back (again to stop at once)")

    def trial_started(self, number: int, params: dict[str, Any]) -> None:
        self._running[number] = 0.0
        self._draw()

    def trial_event(self, number: int, event: Event) -> None:
        if isinstance(event, Progress):
            self._running[number] = position(event)
            self._draw()

    def trial_finished(self, record: TrialRecord, progress: StudyProgress) -> None:
        self._running.pop(record.number, None)
        if record.state == "fail":
            show_line(f"trial {record.number} {record.status}: {reason_words(record)}")
        if progress.best is not None:
            untrained = number(untrained_score(progress.best))
            self._best = f"best {number(progress.best.value)} (untrained {untrained})"
        self._bar.update(progress.finished - self._bar.n)
        self._draw()

    def workers_changed(self, count: int) -> None:
        pass  # the bar estimates by what was done

    def trial_dropped(self, number: int) -> None:
        self._running.pop(number, None)
        self._draw()

    def _draw(self) -> None:
        running = [
            f"trial {number} at {at:.1f}/{self._iterations}"
            for number, at in sorted(self._running.items())
        ]
        self._bar.set_postfix_str(", ".join(filter(None, [self._best, listed(running)])), False)
        self._bar.update(0)


NOTEBOOK = View(make=NotebookDisplay, notify=show_line)


class _TrainingBar:
    """Shows a training run as lines of a table above a bar; a TrainingDisplay."""

    def __init__(self, table: TrainingTable, bar: Any) -> None:
        self._table, self._bar = table, bar

    def observe(self, event: Event) -> None:
        self._table.observe(event)
        if isinstance(event, Progress):
            self._bar.set_postfix_str(event.phase.value, False)
            self._bar.update(position(event) - self._bar.n)

    def notice(self, text: str) -> None:
        self._table.notice(text)


class NotebookTraining:
    """Shows training runs as tables with a bar; a TrainingView."""

    def notify(self, text: str) -> None:
        show_line(text)

    def compile(self, definition: StudyDefinition, device: str) -> None:
        compile_once(plain_console(), definition, device)

    @contextmanager
    def show(self, definition: StudyDefinition, *, notices: bool = True) -> Iterator[_TrainingBar]:
        """Show a run that ^C or SIGTERM stops between two events."""
        console = plain_console()
        with (
            StopRequest(lambda: show_line("stopping ...")) as stop,
            TrainingTable(console, definition, notices=notices, stop=stop) as table,
            make_bar("passes", definition.training.num_iterations, unit="pass") as bar,
        ):
            yield _TrainingBar(table, bar)
            bar.update(bar.total - bar.n)  # of a run that converged early, too
