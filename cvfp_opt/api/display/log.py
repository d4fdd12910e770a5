"""The display of a worker that stays: a log with a line for each trial that ends."""

import time
from collections.abc import Callable
from typing import Any

from cvfp_opt.api.display.console import PlainConsole, make_console, print_line
from cvfp_opt.api.display.drawing import compile_once
from cvfp_opt.api.display.search import header_notes, trial_line
from cvfp_opt.store.doctor.finding import counted
from cvfp_opt.store.record.progress import StudyProgress
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.training.events import Event
from cvfp_opt.workers.task import Task


class LogDisplay:
    """Prints what one worker does; a StayingObserver.

    Args:
        name: of the worker, where there are several; else empty.
        note: given what to know of a study, which several workers would say; None to print it.
    """

    def __init__(self, name: str = "", note: Callable[[str], None] | None = None) -> None:
        terminal = make_console()
        # several workers share a terminal: none draws on it what another would write into
        self._console = PlainConsole(
            file=terminal.file,
            width=terminal.width,
            force_terminal=False,
            markup=False,
            highlight=False,
        )
        self._width = terminal.width if terminal.is_terminal else None
        self._head = f"{name}: " if name else ""
        self._note = note or self._line
        self._study = ""
        self._total = 0
        self._noted: set[str] = set()
        self._reason = ""
        self._started: dict[int, float] = {}

    def serving(self, task: Task) -> None:
        """Print which study is served from here on, and the first time what to know of it."""
        plan, self._reason = task.plan, ""
        self._study, self._total = plan.name, task.total
        device = task.environment["device"]
        self._line(f"serving study {plan.name}, {counted(self._total, 'trial')} in all, {device}")
        if plan.name not in self._noted:
            self._noted.add(plan.name)
            for note in header_notes(plan):
                self._note(f"study {plan.name}, {note}")
            compile_once(self._console, plan.definition, device)

    def resting(self, reason: str) -> None:
        """Print why there is nothing to run, if that has changed."""
        if reason != self._reason:
            self._line(f"idle: {reason}")
        self._reason = reason

    def notice(self, text: str) -> None:
        """Print a line."""
        self._line(text)

    def trial_started(self, number: int, params: dict[str, Any]) -> None:
        """Take the time."""
        self._started[number] = time.monotonic()

    def trial_event(self, number: int, event: Event) -> None:
        """Print nothing: it would be a line for each part of a trial."""

    def trial_finished(self, record: TrialRecord, progress: StudyProgress) -> None:
        """Print the trial's line."""
        spent = time.monotonic() - self._started.pop(record.number, time.monotonic())
        line = trial_line(record, spent, progress, self._total)
        self._line(f"{self._study} {line}")

    def trial_dropped(self, number: int) -> None:
        """Forget the trial."""
        self._started.pop(number, None)

    def _line(self, text: str) -> None:
        print_line(self._console, f"{self._head}{text}", width=self._width)
