"""A worker that stays: it serves one study after the other, whoever submitted them."""

import random
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Protocol

from cvfp_opt.errors import CvfpOptError, StorageError, StudyMissing
from cvfp_opt.store.database.optuna_private import study_id_of
from cvfp_opt.store.database.retry import Patience
from cvfp_opt.store.database.storage import Store, open_for_editing
from cvfp_opt.store.queue.choice import Competition, choose
from cvfp_opt.store.queue.claims import Claims
from cvfp_opt.store.queue.leases import Worker
from cvfp_opt.store.queue.overview import QueuedStudy, read_queue
from cvfp_opt.store.queue.workers import StayingWorker, WorkerState, left_behind, settle
from cvfp_opt.store.record.mirrors import Mirrors
from cvfp_opt.store.record.progress import StudyProgress
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.studies import load_study
from cvfp_opt.training.device import resolve_device
from cvfp_opt.tuning.environment import describe_environment
from cvfp_opt.tuning.observer import SearchObserver
from cvfp_opt.tuning.stopping import SearchStopped, Stop, pause
from cvfp_opt.version import __version__
from cvfp_opt.workers.health import Pulse
from cvfp_opt.workers.preparing import Preparing
from cvfp_opt.workers.task import Stint, Task
from cvfp_opt.workers.telling import Telling
from cvfp_opt.workers.terms import Terms

# An idle worker looks for work so often; not all workers at once.
IDLE_SECONDS = 0.5, 2.5
# A busy one asks no more often whether another study is owed its next trial.
CHOICE_SECONDS = 5.0
# The reason why a study cannot be served may have passed after so long, or when it is changed.
SKIP_SECONDS = 300.0


class StayingObserver(SearchObserver, Protocol):
    """Is notified of what a staying worker does."""

    def serving(self, task: Task) -> None:
        """Show that trials of a study are run from here on."""

    def resting(self, reason: str) -> None:
        """Show that there is nothing to run, and why."""


@dataclass(frozen=True, kw_only=True)
class _Skipped:
    """A study that this worker cannot serve.

    Attributes:
        name: of the study.
        reason: why.
        version: of its entry in the queue then.
        until: ``time.monotonic()`` at which to try again.
    """

    name: str
    reason: str
    version: int
    until: float


class Staying:
    """One worker from its coming to its leaving.

    Args:
        terms: on which it stays.
        observer: notified of what it does.
        stop: the wish of whoever started it.
        pulse: beats while it is alive.
    """

    def __init__(self, terms: Terms, observer: StayingObserver, stop: Stop, pulse: Pulse) -> None:
        self._terms = terms
        self._observer = observer
        self._stop = stop
        self._pulse = pulse
        self._worker = Worker.of_this_process()
        self._environment = describe_environment(resolve_device(terms.device), terms.threads)
        self._competition = Competition()
        self._skipped: dict[int, _Skipped] = {}
        self._trials = 0
        self._taken = 0  # trials that have ended, run, or may be claimed now
        self._lock = threading.Lock()  # of several lanes
        self._looked = 0.0

    def run(self) -> None:
        """Serve studies until there is an end: by a signal, an order, or the terms.

        Raises:
            SearchStopped: a signal came; what ran was given back.
            StorageError: the database stayed away, or its file is gone.
        """
        terms, environment = self._terms, self._environment
        told = StayingWorker(
            **vars(self._worker),
            version=__version__,
            device=str(environment.get("gpu", environment["device"])),
            lanes=terms.lanes,
            patterns=terms.patterns,
        )
        patiently = Patience(
            seconds=terms.limits.patience_seconds,
            notify=self._observer.notice,
            pause=partial(pause, self._stop),
        )
        with (
            open_for_editing(terms.location, patiently) as store,
            Telling(store, told, self._pulse) as self._telling,
        ):
            preparing = Preparing(store=store, terms=terms, environment=environment)
            try:
                self._serve_all(store, preparing)
            except SearchStopped:
                self._stop.check()  # a signal counts for more than an order
                if not self._telling.is_over:
                    raise

    def check(self) -> None:
        """Raise SearchStopped if what runs is to be given back: it is the Stop of its trials."""
        self._stop.check()
        if self._telling.is_over:
            raise SearchStopped(signal.SIGTERM)

    @property
    def _ends(self) -> bool:
        """Check whether no further trial is to be taken."""
        most = self._terms.max_trials
        return self._telling.drains or (most is not None and self._trials >= most)

    @property
    def _in_hours(self) -> bool:
        return self._terms.hours is None or self._terms.hours.include(datetime.now())

    def _serve_all(self, store: Store, preparing: Preparing) -> None:
        while not self._ends:
            self.check()
            studies = store.patiently(lambda: read_queue(store))
            self._release(store, studies)
            self._settle(store, studies)
            fit = self._fit(studies) if self._in_hours else []
            chosen = choose(fit, self._worker.worker, self._competition)
            if chosen is not None:
                self._serve(store, preparing, chosen)
            elif self._terms.until_idle:
                break
            else:
                self._rest(self._why_idle(studies, fit))

    def _rest(self, reason: str) -> None:
        """Wait a while for something to do."""
        self._observer.resting(reason)
        skipped = {one.name: one.reason for one in self._skipped.values()}
        self._telling.change(state=WorkerState.IDLE, study_id=None, reason=reason, skipped=skipped)
        end = time.monotonic() + random.uniform(*IDLE_SECONDS)
        while (left := end - time.monotonic()) > 0 and not self._telling.drains:
            pause(self, min(left, 0.2))

    def _why_idle(self, studies: Sequence[QueuedStudy], fit: Sequence[QueuedStudy]) -> str:
        if not self._in_hours:
            return "outside of its hours"
        left = [study for study in studies if study.to_begin]
        if not left:
            return "no study has a trial to begin"
        if any(study.to_begin for study in fit):
            return "as many workers as they may have run the studies that have trials to begin"
        if self._skipped:
            return "it cannot serve the studies that have trials to begin"
        return "no study that it serves has a trial to begin"

    def _fit(self, studies: Sequence[QueuedStudy]) -> list[QueuedStudy]:
        """Select the studies that this worker may and can serve."""
        now, there = time.monotonic(), {study.study_id: study for study in studies}
        self._skipped = {
            study_id: one
            for study_id, one in self._skipped.items()
            if study_id in there
            and (there[study_id].name, there[study_id].entry.version) == (one.name, one.version)
            and now < one.until
        }
        patterns = self._terms.patterns
        return [
            study
            for study in studies
            if study.study_id not in self._skipped
            and (not patterns or any(fnmatchcase(study.name, one) for one in patterns))
        ]

    def _release(self, store: Store, studies: Sequence[QueuedStudy]) -> None:
        """Let nothing run for ever: put back what dead workers left where no trial may begin."""
        for study in studies:
            if not study.abandoned or study.to_begin:
                continue
            with suppress(StudyMissing):  # deleted or renamed since
                opened = store.patiently(partial(load_study, store, study.name))
                if study_id_of(opened) == study.study_id:
                    retries = self._terms.limits.max_retries
                    claims = Claims(store=store, study=opened, seed=0, max_retries=retries)
                    store.patiently(claims.release_dead)

    def _settle(self, store: Store, studies: Sequence[QueuedStudy]) -> None:
        """Bring up to date what others look at, where a worker died before it could."""
        names = {study.study_id: study.name for study in studies}
        for worker in store.patiently(lambda: left_behind(store)):
            if (name := names.get(worker.study_id or -1)) is not None:
                with suppress(StudyMissing):  # deleted or renamed since
                    study = store.patiently(partial(load_study, store, name))
                    store.patiently(Mirrors(store, study).sync)
            store.patiently(partial(settle, store, worker))

    def _serve(self, store: Store, preparing: Preparing, study: QueuedStudy) -> None:
        """Run trials of a study until another one is owed the next, or it has none left."""
        self._telling.change(
            state=WorkerState.RUNNING, study_id=study.study_id, reason="", skipped={}
        )
        try:
            opened, prepared = preparing.prepare(study)
            assert study.entry.total is not None, "else there is nothing to begin"
            lanes = prepared.task.lanes
            if self._terms.max_trials is not None:
                lanes = min(lanes, self._terms.max_trials - self._trials)
            self._taken = self._trials + lanes
            task = replace(prepared.task, total=study.entry.total, lanes=lanes)
            self._observer.serving(task)
            self._looked = time.monotonic()
            stint = Stint(
                worker=self._worker,
                stays=False,
                looks_back=prepared.new,
                goes_on=partial(self._goes_on, store, study.study_id),
            )
            counting = _Counting(self._observer, self._count)
            task.search(store, opened, counting, self, prepared.objective, stint)
        except StorageError:
            raise
        except CvfpOptError as error:
            self._skip(study, error)

    def _goes_on(self, store: Store, study_id: int) -> bool:
        """Check after a trial whether the next one is to be of the same study."""
        with self._lock:
            most = self._terms.max_trials
            if self._ends or not self._in_hours or (most is not None and self._taken >= most):
                return False
            now = time.monotonic()
            if now - self._looked >= CHOICE_SECONDS:
                self._looked = now
                studies = self._fit(store.patiently(lambda: read_queue(store)))
                chosen = choose(studies, self._worker.worker, self._competition, current=study_id)
                if chosen is not None and chosen.study_id != study_id:
                    return False
            self._taken += 1
            return True

    def _skip(self, study: QueuedStudy, error: CvfpOptError) -> None:
        """Leave a study to others for a while."""
        reason = " ".join(str(error).split())
        self._observer.notice(f"study {study.name} is left to others: {reason}")
        self._skipped[study.study_id] = _Skipped(
            name=study.name,
            reason=reason,
            version=study.entry.version,
            until=time.monotonic() + SKIP_SECONDS,
        )

    def _count(self) -> None:
        with self._lock:
            self._trials += 1


class _Counting:
    """Counts trials as they end; a SearchObserver."""

    def __init__(self, observer: SearchObserver, count: Any) -> None:
        self._count = count
        self.notice = observer.notice
        self.trial_started = observer.trial_started
        self.trial_event = observer.trial_event
        self.trial_dropped = observer.trial_dropped
        self._finished = observer.trial_finished

    def trial_finished(self, record: TrialRecord, progress: StudyProgress) -> None:
        self._count()
        self._finished(record, progress)
