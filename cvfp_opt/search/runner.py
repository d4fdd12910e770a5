"""The loop of a search: claim a trial, run it, tell how it went."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from cvfp_opt.errors import CvfpOptError, SearchError
from cvfp_opt.search.objective import Objective
from cvfp_opt.search.stopping import SearchStopped, Stop
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.mirrors import sync_mirrors
from cvfp_opt.store.records import TrialRecord, count_taken, trial_records, write_attributes
from cvfp_opt.store.studies import give_back_dead_trials
from cvfp_opt.training.events import Event, IterationFinished
from cvfp_opt.training.result import IterationMetrics, Status, TrainingResult

MAX_FIRST_FAILURES = 5

_STATES = {
    Status.FINISHED: TrialState.COMPLETE,
    Status.CONVERGED_EARLY: TrialState.COMPLETE,
    Status.PRUNED: TrialState.PRUNED,
    Status.DIVERGED: TrialState.FAIL,
}


class SearchObserver(Protocol):
    """Told what the search does."""

    def notice(self, text: str) -> None:
        """One line for the user."""

    def trial_started(self, number: int, params: dict[str, Any]) -> None:
        """A trial begins."""

    def trial_event(self, number: int, event: Event) -> None:
        """Progress within a trial; several may run at once."""

    def trial_finished(self, record: TrialRecord, records: list[TrialRecord]) -> None:
        """A trial ended; ``records`` are all trials of the study."""


class Beginning:
    """The first trials of a search: if all of them raise, so will the rest."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: int | None = 0  # None once a trial did not raise

    def note(self, record: TrialRecord) -> None:
        """A trial ended. Raises SearchError if it was one too many."""
        with self._lock:
            if self._failures is not None:
                self._failures = self._failures + 1 if record.status == "error" else None
            failures = self._failures
        if failures == MAX_FIRST_FAILURES:
            raise SearchError(
                f"the first {failures} trials all failed, the last one with: {record.reason}; "
                "mend the cause, then type the same command again with --n-trials "
                f"+{failures}"
            )


@dataclass(frozen=True, kw_only=True)
class Search:
    """A study being searched by this process.

    Attributes:
        store, study: where the trials are.
        objective: what a trial is.
        environment: what it runs on.
        observer: who is told.
        stop: the user's wish to stop.
    """

    store: Store
    study: optuna.Study
    objective: Objective
    environment: dict[str, Any]
    observer: SearchObserver
    stop: Stop

    def run(
        self,
        num_trials: int,
        deadline: float | None = None,
        beginning: Beginning | None = None,
    ) -> None:
        """Run trials until the study has ``num_trials`` in all (or no trial may start any more).

        Args:
            num_trials: finished and running trials of the study, whoever runs them.
            deadline: ``time.monotonic()`` after which no further trial is started.
            beginning: of the search, where others run trials of it in this process.

        Raises:
            SearchStopped: the running trial was given back.
            SearchError: the first trials all raised.
        """
        beginning = beginning or Beginning()
        sync_mirrors(self.store, self.study)
        while deadline is None or time.monotonic() < deadline:
            self.stop.check()
            started = time.perf_counter()
            trial = self._claim(num_trials)
            if trial is None:
                return
            beginning.note(self._run_trial(trial, time.perf_counter() - started))

    def _claim(self, num_trials: int) -> optuna.Trial | None:
        """The next trial, as this worker's own; None if the total is reached."""
        with self.store.lock():
            for number in give_back_dead_trials(self.store, self.study):
                self.observer.notice(f"trial {number} was left by a dead process: it runs again")
            if count_taken(self.study) >= num_trials:
                return None
            return self.study.ask()

    def _run_trial(self, trial: optuna.Trial, asking_seconds: float) -> TrialRecord:
        reporter = _Reporter(trial, self)
        try:
            params = self.objective.definition.space.suggest(trial)
            self.observer.trial_started(trial.number, params)
            result = self.objective(params, trial.number, reporter.observe, reporter.should_prune)
            self._write(trial, result, asking_seconds + reporter.seconds)
        except (SearchStopped, KeyboardInterrupt):
            self.store.give_back(trial._trial_id)
            raise
        except (CvfpOptError, SQLAlchemyError, StorageInternalError):
            raise  # nothing wrong with the trial: it is run again later
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            write_attributes(trial, status="error", reason=reason, environment=self.environment)
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            state = _STATES[result.status]
            self.study.tell(trial, self._values(result), state=state)
        sync_mirrors(self.store, self.study)
        records = trial_records(self.study)
        record = records[trial.number]
        self.observer.trial_finished(record, records)
        return record

    def _values(self, result: TrainingResult) -> list[float] | None:
        """What the study is told: the score, or both objectives."""
        objective = self.objective.definition.objective
        scored = objective.scored(result)
        if scored is None:
            return None
        if objective.kind == "pareto":
            return [scored.convergence_rate, scored.effective_rank]
        return [scored.score]

    def _write(self, trial: optuna.Trial, result: TrainingResult, bookkeeping: float) -> None:
        plain = result.to_dict()
        scored = self.objective.definition.objective.scored(result)
        write_attributes(
            trial,
            status=plain["status"],
            reason=plain["reason"],
            scored=asdict(scored) if scored else {},
            metrics=asdict(result.last) if result.last else {},
            iterations=plain["iterations"],
            audit=plain["audit"] or {},
            seconds=plain["seconds"] | {"bookkeeping": bookkeeping},
            environment=self.environment
            | {
                "finished": time.time(),
                "optimizer_steps": result.optimizer_steps,
                "diversity_scale": result.diversity_scale,
                "weights_digest": result.weights_digest,
            },
        )


class _Reporter:
    """Between one trial's trainer and the study: reports values, asks the pruner, may stop."""

    def __init__(self, trial: optuna.Trial, search: Search) -> None:
        self._trial = trial
        self._objective = search.objective.definition.objective
        self._search = search.objective.definition.search
        self._observer = search.observer
        self._stop = search.stop
        self._iterations: list[dict[str, Any]] = []
        self.seconds = 0.0

    def observe(self, event: Event) -> None:
        self._stop.check()
        if isinstance(event, IterationFinished):
            with self._timed():
                self._report(event.metrics)
        self._observer.trial_event(self._trial.number, event)

    def _report(self, metrics: IterationMetrics) -> None:
        """Tell the study how far the trial is, for its pruner and for whoever looks."""
        self._iterations.append(asdict(metrics))
        write_attributes(self._trial, iterations=self._iterations)
        if self._objective.known_while_training:
            self._trial.report(self._objective.value(metrics), metrics.iteration)

    def should_prune(self, metrics: IterationMetrics) -> bool:
        if not self._objective.known_while_training or self._search.pruner == "none":
            return False
        if metrics.iteration == 0:
            return metrics.effective_rank < self._search.min_untrained_rank
        with self._timed():
            return self._trial.should_prune()

    @contextmanager
    def _timed(self) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - started
