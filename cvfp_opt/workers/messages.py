"""What a worker process tells its parent: all that a SearchObserver is told, and how it failed."""

import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from signal import SIGTERM
from typing import Any

from cvfp_opt.errors import CvfpOptError
from cvfp_opt.search.stopping import SearchStopped
from cvfp_opt.store.records import TrialRecord
from cvfp_opt.training.events import Event, Progress

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
    """A trial ended. The study's other trials are read by whoever needs them."""

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


Message = Notice | TrialStarted | TrialEvent | TrialFinished | TrialDropped | Refused | Broken


class Sender:
    """A SearchObserver that tells the parent process."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._last_progress = 0.0

    def send(self, message: Message) -> None:
        """Tell the parent.

        Raises:
            SearchStopped: it is gone, or listens no more. An OSError would be taken for the
                trial's own and fail it.
        """
        try:
            self._connection.send(message)
        except OSError:
            raise SearchStopped(SIGTERM) from None

    def notice(self, text: str) -> None:
        self.send(Notice(text))

    def trial_started(self, number: int, params: dict[str, Any]) -> None:
        self.send(TrialStarted(number, params))

    def trial_event(self, number: int, event: Event) -> None:
        if isinstance(event, Progress):
            now = time.monotonic()
            if now - self._last_progress < PROGRESS_SECONDS:
                return
            self._last_progress = now
        self.send(TrialEvent(number, event))

    def trial_finished(self, record: TrialRecord, records: list[TrialRecord]) -> None:
        self.send(TrialFinished(record))

    def trial_dropped(self, number: int) -> None:
        self.send(TrialDropped(number))
