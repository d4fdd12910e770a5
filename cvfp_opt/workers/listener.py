"""Handling of what workers report, the same for all engines."""

from collections.abc import Hashable
from dataclasses import dataclass

import optuna

from cvfp_opt.errors import SearchError
from cvfp_opt.store.record.progress import ProgressTracker
from cvfp_opt.store.record.records import count_finished, count_taken
from cvfp_opt.tuning.observer import SearchObserver
from cvfp_opt.tuning.stopping import Stop
from cvfp_opt.workers.messages import (
    Broken,
    Message,
    Notice,
    Refused,
    TrialDropped,
    TrialEvent,
    TrialFinished,
    TrialStarted,
)
from cvfp_opt.workers.task import Task

MAX_RESTARTS = 3


class WorkerError(Exception):
    """A bug that a worker met; its traceback is a note. No user can mend it: no CvfpOptError."""


@dataclass
class Deaths:
    """Deaths of workers since a trial last finished: after some, none would live.

    Attributes:
        allowed: so many are replaced.
        count: so many there were.
    """

    allowed: int = MAX_RESTARTS
    count: int = 0

    @property
    def too_many(self) -> bool:
        """Check if the last dead worker is not to be replaced."""
        return self.count > self.allowed


class Listener:
    """Passes messages of many workers to one observer, and remembers who runs which trial.

    It is a Stop too, for whoever waits: it passes on the one of the search.

    Args:
        task: of each worker.
        study: being searched.
        observer: notified of what all of them do.

    Attributes:
        patiently: how to read a database that may be away for a while.
        deaths: of the workers.
        stop: of the search, once it runs.
    """

    def __init__(self, task: Task, study: optuna.Study, observer: SearchObserver) -> None:
        self.patiently = task.patience(observer, self)
        self.deaths = Deaths()
        self.stop: Stop | None = None
        self._total = task.total
        self._study = study
        self._tracker = ProgressTracker(study)
        self._observer = observer
        self._running: dict[Hashable, set[int]] = {}
        self._notices: set[str] = set()

    def check(self) -> None:
        """Raise SearchStopped if the search is to stop."""
        if self.stop is not None:
            self.stop.check()

    def check_undone(self) -> None:
        """Raise SearchError if workers died too often, and trials are left undone."""
        # what others run is not undone
        left = self._total - self.patiently(lambda: count_taken(self._study))
        if self.deaths.too_many and left > 0:
            raise SearchError(
                f"{left} of {self._total} trials are left undone: {self.deaths.count} workers "
                "died one after another; find out why (too little memory?), then type the same "
                "command again, perhaps with a smaller --n-jobs"
            )

    def count_unfinished(self) -> int:
        """Count the trials that are left to finish, whoever runs them."""
        return self._total - self.patiently(lambda: count_finished(self._study))

    def handle(self, worker: Hashable, message: Message) -> None:
        """Pass on a worker's message.

        Raises:
            CvfpOptError: the worker met it.
            WorkerError: the worker met a bug.
        """
        match message:
            case Notice(text):
                if text not in self._notices:  # workers often meet the same thing
                    self._observer.notice(text)
                self._notices.add(text)
            case TrialStarted(number, params):
                self._end(number)  # whoever ran it has lost it
                self._running.setdefault(worker, set()).add(number)
                self._observer.trial_started(number, params)
            case TrialEvent(number, event):
                if number in self._running.get(worker, ()):  # or it is late, and about the past
                    self._observer.trial_event(number, event)
            case TrialFinished(record):
                self.deaths.count = 0
                self._end(record.number)
                # what another worker finished is counted when its own message comes
                unreported = set().union(*self._running.values())
                progress = self.patiently(lambda: self._tracker.progress(unreported))
                self._observer.trial_finished(record, progress)
            case TrialDropped(number):
                if number in self._running.get(worker, ()):  # or it is shown as another's already
                    self._end(number)
                    self._observer.trial_dropped(number)
            case Refused(error):
                raise error
            case Broken(text, trace):
                bug = WorkerError(f"{text} (in a worker process)")
                bug.add_note(trace)
                raise bug

    def forget(self, worker: Hashable) -> str:
        """Forget a worker that ended; return ``, which ran trial 3,`` or "" for a message."""
        numbers = sorted(self._running.pop(worker, ()))
        if not numbers:
            return ""
        words = " and ".join(map(str, numbers))
        return f", which ran trial{'s' if len(numbers) > 1 else ''} {words},"

    def _end(self, number: int) -> None:
        for numbers in self._running.values():
            numbers.discard(number)
