"""What the one who starts workers does with what they tell, whatever way it comes."""

from collections.abc import Hashable

import optuna

from cvfp_opt.errors import SearchError
from cvfp_opt.search.observer import SearchObserver
from cvfp_opt.store.database.retry import Patience
from cvfp_opt.store.record.progress import ProgressTracker
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

MAX_RESTARTS = 3


class WorkerError(Exception):
    """A bug that a worker met; its traceback is a note. No user can mend it: no CvfpOptError."""


class Listener:
    """Tells one observer what many workers say, and remembers who runs which trial.

    Args:
        study: being searched.
        observer: told what all of them do.
        patiently: how to read a database that may be away for a while.
    """

    def __init__(self, study: optuna.Study, observer: SearchObserver, patiently: Patience) -> None:
        self._tracker = ProgressTracker(study)
        self._observer = observer
        self.patiently = patiently
        self._running: dict[Hashable, set[int]] = {}
        self._told: set[str] = set()

    def hear(self, worker: Hashable, message: Message) -> None:
        """Pass on what a worker says.

        Raises:
            CvfpOptError: the worker met it.
            WorkerError: the worker met a bug.
        """
        match message:
            case Notice(text):
                if text not in self._told:  # workers often meet the same thing
                    self._observer.notice(text)
                self._told.add(text)
            case TrialStarted(number, params):
                self._end(number)  # whoever ran it has lost it
                self._running.setdefault(worker, set()).add(number)
                self._observer.trial_started(number, params)
            case TrialEvent(number, event):
                if number in self._running.get(worker, ()):  # or it is late, and about the past
                    self._observer.trial_event(number, event)
            case TrialFinished(record):
                self._end(record.number)
                # what another worker finished is counted when its own message comes
                untold = set().union(*self._running.values())
                progress = self.patiently(lambda: self._tracker.progress(untold))
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
        """It has ended: `` which ran trial 3,`` or `` which ran trials 3 and 4,``, or nothing."""
        numbers = sorted(self._running.pop(worker, ()))
        if not numbers:
            return ""
        words = " and ".join(map(str, numbers))
        return f", which ran trial{'s' if len(numbers) > 1 else ''} {words},"

    def _end(self, number: int) -> None:
        for numbers in self._running.values():
            numbers.discard(number)


class Deaths:
    """Of workers, since a trial last finished: with more than some, none would live.

    Attributes:
        allowed: so many are replaced.
    """

    def __init__(self, allowed: int = MAX_RESTARTS) -> None:
        self.allowed = allowed
        self._count = 0

    def note(self) -> None:
        """A worker died."""
        self._count += 1

    def forget(self) -> None:
        """A trial finished."""
        self._count = 0

    @property
    def too_many(self) -> bool:
        """Whether the last one is not to be replaced."""
        return self._count > self.allowed

    def check(self, left: int, total: int) -> None:
        """Say so if trials are left because of them. Raises SearchError."""
        if self.too_many and left > 0:
            raise SearchError(
                f"{left} of {total} trials are left undone: {self._count} workers died "
                "one after another; find out why (too little memory?), then type the same command "
                "again, perhaps with a smaller --n-jobs"
            )
