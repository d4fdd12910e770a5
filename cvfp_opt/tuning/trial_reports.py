"""Reports of a running trial: to the study, to its pruner, and to who takes it over."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna

from cvfp_opt.store.database.file_watch import FileGone
from cvfp_opt.store.database.retry import DATABASE_ERRORS, passes
from cvfp_opt.store.queue.trial_writer import TrialWriter
from cvfp_opt.store.record.records import write_attributes
from cvfp_opt.training.events import Event, IterationFinished
from cvfp_opt.training.result import IterationMetrics
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.observer import SearchObserver
from cvfp_opt.tuning.sampler_pruner import falls_behind
from cvfp_opt.tuning.stopping import Stop

# Reports are for the pruners of other workers and for people: after a trial's first, those of
# quick iterations are written together. Nothing is lost with them, for whoever takes over a trial
# forgets what it reported; and a write between two iterations takes 0.8 ms of processor time.
REPORT_SECONDS = 1.0


class Reporter:
    """Between one trial's trainer and the study: reports values, asks the pruner, may stop."""

    def __init__(
        self,
        trial: optuna.Trial,
        writer: TrialWriter,
        definition: StudyDefinition,
        observer: SearchObserver,
        stop: Stop,
    ) -> None:
        self._trial = trial
        self._writer = writer
        self._definition = definition
        self._observer = observer
        self._stop = stop
        self._iterations: list[dict[str, Any]] = []
        self._away = False
        self._last_write = -math.inf
        self.seconds = 0.0

    def observe(self, event: Event) -> None:
        self._stop.check()
        self._writer.check()
        if isinstance(event, IterationFinished):
            with self._timed():
                self._report(event.metrics)
        self._observer.trial_event(self._trial.number, event)

    def _report(self, metrics: IterationMetrics) -> None:
        """Report an iteration to the study, for its pruner and for whoever looks."""
        self._iterations.append(dict(vars(metrics)))
        write_attributes(self._trial, iterations=self._iterations)
        objective = self._definition.objective
        if objective.known_while_training:
            self._trial.report(objective.value(metrics), metrics.iteration)
        if time.monotonic() - self._last_write >= REPORT_SECONDS:
            self._flush()

    def register(self, key: str, value: str) -> None:
        """Write at once which attribute names a checkpoint."""
        self._writer.pending.system_attrs[key] = value
        self._flush()

    def _flush(self) -> None:
        with self._outage_tolerated():
            self._writer.flush()
            self._last_write = time.monotonic()

    def should_prune(self, metrics: IterationMetrics) -> bool:
        if self._definition.search.pruner == "none":  # whose answer is known
            return False
        return falls_behind(self._definition, metrics, self._ask)

    def _ask(self) -> bool:
        with self._timed(), self._outage_tolerated():
            return self._trial.should_prune()
        return False

    @contextmanager
    def _outage_tolerated(self) -> Iterator[None]:
        """Go on training while the database is away; what was reported is written later."""
        try:
            yield
        except DATABASE_ERRORS as error:
            gone = isinstance(error, FileGone)
            if not gone and not passes(error):
                raise
            if not self._away:
                number = self._trial.number
                self._observer.notice(
                    f"{error}; trial {number} is trained on first, and its result kept"
                    if gone
                    else f"the database does not answer; trial {number} is trained on, and "
                    "what it reports is written when the database is back"
                )
            self._away = True
        else:
            self._away = False

    @contextmanager
    def _timed(self) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - started
