"""The loop of a search: claim trials and run them until the study has enough."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import optuna

from cvfp_opt.errors import CvfpOptError, PointError, SearchError
from cvfp_opt.store.database.optuna_private import storage_of
from cvfp_opt.store.database.retry import DATABASE_ERRORS, Patience
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.queue.announcing import Announcer
from cvfp_opt.store.queue.claims import REFUSED, Claims, NoTrial
from cvfp_opt.store.queue.leases import LeaseLost
from cvfp_opt.store.queue.trial_writer import Renewer, TrialWriter
from cvfp_opt.store.queue.unsent import send_unsent
from cvfp_opt.store.record.mirrors import Mirrors
from cvfp_opt.store.record.progress import ProgressTracker
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.trial_attributes import StoredEnvironment
from cvfp_opt.tuning.checkpointing import Checkpointing
from cvfp_opt.tuning.objective import Objective
from cvfp_opt.tuning.observer import SearchObserver
from cvfp_opt.tuning.stopping import SearchStopped, Stop, pause
from cvfp_opt.tuning.trial_files import TrialFiles
from cvfp_opt.tuning.trial_run import TrialRun

# Mirrors are for people who look: trials may end more often than they are brought up to date.
MIRROR_SECONDS = 5.0
# While others run the last trials, a worker looks again after so many seconds, ever more of them,
# and says so after so many.
FIRST_WAIT, LONGEST_WAIT, NOTIFY_AFTER = 0.05, 1.0, 10.0
_WAITING = {
    NoTrial.WAIT: "all trials are taken; waiting for those that other workers run, to take over "
    "any that is left",
    NoTrial.FULL: "as many workers as it may have run the study's trials; waiting for one to end",
}
# A search ends if so many trials raise before one does not.
MAX_FIRST_FAILURES = 5


class KeepPage(Protocol):
    """Keeps a study's page in the dashboard up to date."""

    def __call__(self, store: Store, study: optuna.Study, *, last: bool) -> None:
        """Write the page if that is due; the last time in any case."""


class FirstTrials:
    """The first trials of a search: if all of them raise, so will the rest. For threads too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: int | None = 0  # None once a trial did not raise

    def note(self, record: TrialRecord) -> None:
        """Count a trial that ended. Raises SearchError if it was one failure too many."""
        if record.status == REFUSED:  # it was never run, and says nothing of the others
            return
        with self._lock:
            if self._failures is not None:
                self._failures = self._failures + 1 if record.status == "error" else None
            failures = self._failures
        if failures == MAX_FIRST_FAILURES:
            # a confirmation asks for what failed by itself
            more = "" if record.run else f" with --n-trials +{failures}"
            raise SearchError(
                f"the first {failures} trials all failed, the last one with: {record.reason}; "
                f"mend the cause, then type the same command again{more}"
            )


@dataclass
class _Mirroring:
    """Tells when the mirrors are to be brought up to date."""

    last: float = float("-inf")

    def due(self) -> bool:
        now = time.monotonic()
        if now - self.last < MIRROR_SECONDS:
            return False
        self.last = now
        return True


@dataclass(frozen=True, kw_only=True)
class Search:
    """A study being searched by this process.

    Attributes:
        store, study: where the trials are.
        objective: what a trial is.
        environment: what it runs on.
        observer: notified of everything.
        stop: the user's wish to stop.
        claims: what this process takes trials by.
        renewer: renews the leases of the trials that run.
        patience: seconds to wait for a database that is away.
        checkpoints: of trials, while they run.
        files: of trials that end.
        keep_page: keeps the study's page in the dashboard up to date.
        stays: whether to wait while others run the last trials, to take over any that is left, and
            to leave a page that is up to date.
        looks_back: whether to write first what earlier workers could not.
        goes_on: asked before each trial but the first whether to take another.
    """

    store: Store
    study: optuna.Study
    objective: Objective
    environment: StoredEnvironment
    observer: SearchObserver
    stop: Stop
    claims: Claims
    renewer: Renewer
    patience: float
    checkpoints: Checkpointing
    files: TrialFiles
    keep_page: KeepPage
    stays: bool = True
    looks_back: bool = True
    goes_on: Callable[[], bool] = lambda: True
    mirroring: _Mirroring = field(default_factory=_Mirroring)

    def run(self, num_trials: int, deadline: float | None = None) -> None:
        """Run trials until the study has ``num_trials`` in all (or no trial may start any more).

        When no trial is left to take but others still run some, it stays, to take over those of
        workers that die.

        Args:
            num_trials: finished and running trials of the study, whoever runs them.
            deadline: ``time.monotonic()`` after which no further trial is started.

        Raises:
            SearchStopped: the running trial was given back.
            SearchError: the first trials all raised.
            StorageError: the database stayed away; the text says what was kept, and where.
        """
        if self.looks_back:
            self.finish_earlier()
        if not self.stays:  # a short visit is no time to draw pages
            self.mirroring.due()
        self.run_trials(num_trials, deadline, FirstTrials())

    def finish_earlier(self) -> None:
        """Write what earlier workers could not: results in files, and what mirrors lack."""
        for line in self._patiently(lambda: list(send_unsent(self.claims))):
            self.observer.notice(line)
        self._patiently(self._mirrors.sync)

    def run_trials(self, num_trials: int, deadline: float | None, first: FirstTrials) -> None:
        """Claim trials and run them, as one of several lanes maybe; see ``run``."""
        waited, ran, finished, behind = 0.0, False, 0, False
        try:
            while deadline is None or time.monotonic() < deadline:
                self.stop.check()
                if ran and not self.goes_on():
                    break
                started = time.perf_counter()
                claimed = self._patiently(lambda: self.claims.claim(num_trials))
                if claimed is NoTrial.DONE:
                    break
                if claimed is NoTrial.WAIT or claimed is NoTrial.FULL:
                    if not self.stays:
                        break
                    waited = self._wait(waited, claimed)
                    continue
                if isinstance(claimed, NoTrial):
                    self.observer.notice(f"{claimed.value}: no further trial begins")
                    break
                waited, ran = 0.0, True
                writer = TrialWriter(claims=self.claims, claimed=claimed)
                record, finished = self._run_trial(writer, time.perf_counter() - started)
                behind = True
                if record is not None:
                    first.note(record)
        except SearchStopped:
            if behind:  # where workers stay, nobody else would do it
                self._patiently(self._mirrors.sync)
            raise
        if self.stays or finished >= num_trials:  # or others will, or this worker comes back
            self._mirror(last=True)
        elif ran:
            self._patiently(self._mirrors.sync)
        if ran or self.stays:
            best = self._patiently(self._tracker.progress).best
            self._announcer.search_ended(best, moves_on=not self.stays)

    def _wait(self, waited: float, reason: NoTrial) -> float:
        """Leave the others some time; return the seconds waited in all."""
        seconds = min(max(FIRST_WAIT, waited), LONGEST_WAIT)
        if waited < NOTIFY_AFTER <= waited + seconds:
            self.observer.notice(_WAITING[reason])
        self._pause(seconds)
        return waited + seconds

    def _run_trial(
        self, writer: TrialWriter, asking_seconds: float
    ) -> tuple[TrialRecord | None, int]:
        """Run a claimed trial; return it, and how many of the study have finished.

        None and 0 if another worker took it meanwhile.
        """
        number = writer.claimed.number
        try:
            with self._renewed(writer):
                self._train(writer, asking_seconds)
        except LeaseLost:
            self.observer.notice(
                f"trial {number} is not this worker's any more: it is dropped here"
            )
            self.observer.trial_dropped(number)
            return None, 0
        if self.mirroring.due():
            self._mirror()
        progress = self._patiently(self._tracker.progress)
        read = storage_of(self.study).get_trial
        record = TrialRecord.of(self._patiently(lambda: read(writer.claimed.trial_id)))
        self._announcer.trial_ended(record, progress.best)
        self.observer.trial_finished(record, progress)
        return record, progress.finished

    @contextmanager
    def _renewed(self, writer: TrialWriter) -> Iterator[None]:
        """Renew a trial's lease meanwhile, and then let go of it."""
        self.renewer.add(writer)
        try:
            yield
        finally:
            self.renewer.remove(writer)
            writer.drop()

    def _train(self, writer: TrialWriter, asking_seconds: float) -> None:
        """Train a claimed trial; a confirmation's by the definition of its point."""
        trial_run = TrialRun(
            study=self.study,
            writer=writer,
            objective=self.objective,
            environment=self.environment,
            observer=self.observer,
            stop=self.stop,
            patiently=self._patiently,
            checkpoints=self.checkpoints,
            files=self.files,
        )
        try:
            at_point = trial_run.at_point()
        except PointError as error:  # another program wrote it
            trial_run.refuse(error)
        except CvfpOptError:  # its text cannot be read here
            trial_run.give_back()
            raise
        else:
            at_point.train(asking_seconds)

    def _mirror(self, *, last: bool = False) -> None:
        """Bring up to date what others look at."""
        self._patiently(self._mirrors.sync)
        with suppress(*DATABASE_ERRORS):  # a page is worth neither waiting nor an end
            self.keep_page(self.store, self.study, last=last)

    @cached_property
    def _tracker(self) -> ProgressTracker:
        return ProgressTracker(self.study)

    @cached_property
    def _announcer(self) -> Announcer:
        return Announcer(store=self.store, study=self.study)

    @cached_property
    def _mirrors(self) -> Mirrors:
        return Mirrors(self.store, self.study)

    @property
    def _patiently(self) -> Patience:
        return Patience(seconds=self.patience, notify=self.observer.notice, pause=self._pause)

    def _pause(self, seconds: float) -> None:
        pause(self.stop, seconds)
