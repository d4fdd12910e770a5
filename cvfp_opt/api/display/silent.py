"""Searches and training runs that nobody watches: nothing is shown."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from cvfp_opt.api.display.console import PlainConsole
from cvfp_opt.api.display.drawing import compile_once
from cvfp_opt.api.display.protocol import View
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.record.progress import StudyProgress
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.trial_attributes import StoredEnvironment
from cvfp_opt.training.events import Event
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.plan import Plan
from cvfp_opt.tuning.stopping import StopRequest


def _nowhere() -> PlainConsole:
    """Make a console that shows nothing, nor a widget in a notebook, as rich's own would."""
    return PlainConsole(quiet=True, force_jupyter=False)


class SilentDisplay:
    """Shows nothing of a search; a SearchDisplay."""

    def __init__(
        self, definition: StudyDefinition, total: int, processes: int = 1, lanes: int = 1
    ) -> None:
        self._definition = definition

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def header(
        self,
        plan: Plan,
        location: Location,
        environment: StoredEnvironment,
        done: int | None,
        place: str = "",
    ) -> None:
        pass

    def compile(self, device: str) -> None:
        compile_once(_nowhere(), self._definition, device)

    def notice(self, text: str) -> None:
        pass

    def stopping(self) -> None:
        pass

    def trial_started(self, number: int, params: dict[str, Any]) -> None:
        pass

    def trial_event(self, number: int, event: Event) -> None:
        pass

    def trial_finished(self, record: TrialRecord, progress: StudyProgress) -> None:
        pass

    def workers_changed(self, count: int) -> None:
        pass

    def trial_dropped(self, number: int) -> None:
        pass


def _ignore(text: str) -> None:
    """Show no line."""


SILENT = View(make=SilentDisplay, notify=_ignore)


class _SilentRun:
    """Shows nothing of a training run, and stops it; a TrainingDisplay."""

    def __init__(self, stop: StopRequest) -> None:
        self._stop = stop

    def observe(self, event: Event) -> None:
        self._stop.check()

    def notice(self, text: str) -> None:
        pass


class SilentTraining:
    """Shows nothing of training runs; a TrainingView."""

    def notify(self, text: str) -> None:
        pass

    def compile(self, definition: StudyDefinition, device: str) -> None:
        compile_once(_nowhere(), definition, device)

    @contextmanager
    def show(self, definition: StudyDefinition, *, notices: bool = True) -> Iterator[_SilentRun]:
        """Let ^C or SIGTERM stop a run between two events."""
        with StopRequest(lambda: None) as stop:
            yield _SilentRun(stop)
