"""Messages of a worker to the process that started it: all for its observer, and failures."""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from signal import SIGTERM
from typing import Any

from cvfp_opt.errors import CvfpOptError, foreign_fault
from cvfp_opt.store.record.progress import StudyProgress
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.training.events import Event, Progress
from cvfp_opt.tuning.stopping import SearchStopped

# A display draws ten times a second; more is only work for both sides.
PROGRESS_SECONDS = 0.1


@dataclass(frozen=True)
class Notice:
    """One line for the user."""

    text: str


@dataclass(frozen=True)
class TrialStarted:
    """A trial begins."""

    number: int
    params: dict[str, Any]


@dataclass(frozen=True)
class TrialEvent:
    """Progress within a trial."""

    number: int
    event: Event


@dataclass(frozen=True)
class TrialFinished:
    """A trial ended. How the study stands is seen by whoever hears of it."""

    record: TrialRecord


@dataclass(frozen=True)
class TrialDropped:
    """A trial is run by somebody else now."""

    number: int


@dataclass(frozen=True)
class Refused:
    """The worker met an expected error."""

    error: CvfpOptError


@dataclass(frozen=True)
class Broken:
    """The worker met a bug. In words: not every exception survives pickling."""

    error: str
    trace: str


class Ending(StrEnum):
    """Why a task of the Dask engine ended; the values are the user's words."""

    DONE = "found no trial left to take"
    UNWANTED = "was stopped"
    RETIRED = "retires"
    LEFT = "divides its threads anew"


@dataclass(frozen=True)
class Began:
    """A task of the Dask engine runs, with so many threads."""

    threads: int


@dataclass(frozen=True)
class Ended:
    """A task of the Dask engine ended, and what it ran was given back."""

    ending: Ending


Message = (
    Notice
    | TrialStarted
    | TrialEvent
    | TrialFinished
    | TrialDropped
    | Refused
    | Broken
    | Began
    | Ended
)


def failure(error: Exception) -> Refused | Broken:
    """Give what to tell of an error that ended a worker. Call it while the error is handled."""
    if isinstance(error, CvfpOptError):
        return Refused(error)
    words = foreign_fault(error)
    if words:
        return Refused(CvfpOptError(words))
    return Broken(f"{type(error).__name__}: {error}", traceback.format_exc())


class Sender:
    """A SearchObserver that tells whoever started the worker.

    Args:
        convey: gets a message there.
        progress_seconds: progress is told no more often.
    """

    def __init__(
        self, convey: Callable[[Message], None], progress_seconds: float = PROGRESS_SECONDS
    ) -> None:
        self._convey = convey
        self._progress_seconds = progress_seconds
        self._last_progress = 0.0

    def send(self, message: Message) -> None:
        """Tell it.

        Raises:
            SearchStopped: who started us is gone, or listens no more. An OSError would be taken
                for the trial's own and fail it.
        """
        try:
            self._convey(message)
        except OSError:
            raise SearchStopped(SIGTERM) from None

    def notice(self, text: str) -> None:
        self.send(Notice(text))

    def trial_started(self, number: int, params: dict[str, Any]) -> None:
        self.send(TrialStarted(number, params))

    def trial_event(self, number: int, event: Event) -> None:
        if isinstance(event, Progress):
            now = time.monotonic()
            if now - self._last_progress < self._progress_seconds:
                return
            self._last_progress = now
        self.send(TrialEvent(number, event))

    def trial_finished(self, record: TrialRecord, progress: StudyProgress) -> None:
        self.send(TrialFinished(record))

    def trial_dropped(self, number: int) -> None:
        self.send(TrialDropped(number))
