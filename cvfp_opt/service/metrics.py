"""Metrics for Prometheus: how queue, studies and workers stand, read when somebody asks.

A series belongs to a study or to a worker, never to a trial: Prometheus keeps each for ever.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from cvfp_opt.report.board import Board, Standing, read_board
from cvfp_opt.store.database.reading import moment
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.unsent_folder import unsent_files
from cvfp_opt.store.queue.overview import Stage
from cvfp_opt.store.queue.workers import StayingWorker, WorkerState
from cvfp_opt.store.record.summary import STATES
from cvfp_opt.version import __version__

# Several Prometheus servers, or an impatient reader, cost the database one reading.
CACHE_SECONDS = 5.0


class Metrics:
    """The text that Prometheus reads, at most CACHE_SECONDS old. Safe to use from threads.

    Args:
        store: the database.
        clock: seconds that only go forward.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._read = -CACHE_SECONDS
        self._text = b""
        self._registry = CollectorRegistry()
        self._registry.register(_Boards(store))
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """Write all metrics in Prometheus's text format.

        Raises:
            StorageError, SQLAlchemyError: the database cannot be read.
        """
        with self._lock:
            if not self._text or self._clock() - self._read >= CACHE_SECONDS:
                self._text = generate_latest(self._registry)
                self._read = self._clock()
            return self._text


class _Boards(Collector):
    """Reads the board whenever it is asked."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def describe(self) -> Iterable[Metric]:
        """Name nothing: the registry would read the database to learn the names."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Read the board, and yield what it shows."""
        started = time.perf_counter()
        board = read_board(self._store)
        seconds = time.perf_counter() - started
        yield from metrics_of(board)
        text = "Results that wait in the folder storage/unsent where this server runs."
        yield _one("unsent_results", text, len(unsent_files()))
        yield _one("scrape_seconds", "Seconds that the database took for all of this.", seconds)
        build = GaugeMetricFamily(
            "cvfp_opt_build_info", "Version of this server.", labels=["version"]
        )
        build.add_metric([__version__], 1)
        yield build


def metrics_of(board: Board) -> Iterator[Metric]:
    """Yield what a board shows: of the queue, of each study, of the workers."""
    yield from _stages(board.studies)
    yield _trials(board.studies)
    for name, text, take in _FIGURES:
        yield _gauge(name, text, board.studies, take)
    for name, text, count in _COUNTERS:
        counter = CounterMetricFamily(f"cvfp_opt_{name}", text, labels=["study"])
        for standing in board.studies:
            counter.add_metric([standing.study.name], count(standing))
        yield counter
    yield _durations(board.studies)
    yield from _workers(board.workers)


def _one(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"cvfp_opt_{name}", text, value=value)


def _gauge(
    name: str,
    text: str,
    studies: Sequence[Standing],
    take: Callable[[Standing], float | None],
) -> Metric:
    """Make a gauge with a series for each study that has such a figure."""
    family = GaugeMetricFamily(f"cvfp_opt_{name}", text, labels=["study"])
    for standing in studies:
        value = take(standing)
        if value is not None:
            family.add_metric([standing.study.name], value)
    return family


def _stages(studies: Sequence[Standing]) -> Iterator[Metric]:
    counts = Counter(standing.study.stage for standing in studies)
    text = f"Studies by how they stand: {', '.join(Stage)}."
    by_stage = GaugeMetricFamily("cvfp_opt_studies", text, labels=["stage"])
    for stage in Stage:
        by_stage.add_metric([stage.value], counts[stage])
    yield by_stage
    text = "1, and how the study stands as a label."
    of_study = GaugeMetricFamily("cvfp_opt_study_stage", text, labels=["study", "stage"])
    for standing in studies:
        of_study.add_metric([standing.study.name, standing.study.stage.value], 1)
    yield of_study


def _trials(studies: Sequence[Standing]) -> Metric:
    text = f"Trials by state: {', '.join(STATES)}."
    family = GaugeMetricFamily("cvfp_opt_trials", text, labels=["study", "state"])
    for standing in studies:
        for state in STATES:
            count = standing.study.counts.get(state, 0)
            family.add_metric([standing.study.name, state], count)
    return family


def _durations(studies: Sequence[Standing]) -> Metric:
    text = "Time that trials took which have ended; its sum is what the budget of seconds counts."
    family = SummaryMetricFamily("cvfp_opt_trial_duration_seconds", text, labels=["study"])
    for one in (standing.study for standing in studies):
        family.add_metric([one.name], count_value=one.timed, sum_value=one.seconds)
    return family


def _workers(workers: Sequence[StayingWorker]) -> Iterator[Metric]:
    counts = Counter(worker.state for worker in workers)
    text = f"Workers that stay, by what they do: {', '.join(WorkerState)}."
    by_state = GaugeMetricFamily("cvfp_opt_workers", text, labels=["state"])
    for state in WorkerState:
        by_state.add_metric([state.value], counts[state])
    yield by_state
    text = "When a worker said last that it is alive; those that are gone have none."
    seen = GaugeMetricFamily(
        "cvfp_opt_worker_last_seen_timestamp_seconds", text, labels=["worker", "host"]
    )
    for worker in workers:
        if worker.state is not WorkerState.GONE:
            seen.add_metric([worker.short, worker.host], worker.seen)
    yield seen


def _epoch(text: str) -> float | None:
    """Convert a start, which the database has in a worker's local time; None for what is none."""
    try:
        found: datetime | None = moment(text or None)
        return None if found is None else found.timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _first_wait(standing: Standing) -> float | None:
    start, submitted = _epoch(standing.study.first_start), standing.study.entry.submitted
    return None if start is None or submitted is None else max(0.0, start - submitted)


def _best(name: str) -> Callable[[Standing], float | None]:
    return lambda standing: getattr(standing.best, name) if standing.best else None


def _entry(name: str) -> Callable[[Standing], float | None]:
    def take(standing: Standing) -> float | None:
        value: Any = getattr(standing.study.entry, name)
        found: float | None = value
        return found

    return take


_FIGURES: Sequence[tuple[str, str, Callable[[Standing], float | None]]] = (
    ("study_trials_wanted", "Trials of the study in all, if somebody has said.", _entry("total")),
    (
        "study_trials_to_begin",
        "Trials that a worker may begin or take over now.",
        lambda one: one.study.to_begin,
    ),
    ("study_workers", "Workers that run its trials now.", lambda one: len(one.study.workers)),
    ("study_max_workers", "Workers that may do so at once.", _entry("max_workers")),
    ("study_priority", "The highest priority is served first.", _entry("priority")),
    ("study_weight", "Share of the workers among studies of one priority.", _entry("weight")),
    (
        "study_first_wait_seconds",
        "Time from its submission to its first trial.",
        _first_wait,
    ),
    (
        "study_last_start_timestamp_seconds",
        "When a trial of it began last.",
        lambda one: _epoch(one.study.last_start),
    ),
    (
        "study_budget_seconds",
        "Time that its trials may take together.",
        _entry("max_seconds"),
    ),
    ("study_budget_failed_trials", "Trials of it that may fail.", _entry("max_failed")),
    ("study_deadline_timestamp_seconds", "When no trial begins any more.", _entry("until")),
    ("study_budget_spent", "1 if a budget of it is spent.", lambda one: bool(one.study.spent)),
    ("study_best_score", "Score of its best trial.", _best("value")),
    (
        "study_untrained_score",
        "Score of the network of its best trial before training.",
        _best("untrained"),
    ),
    (
        "study_confirmed",
        "1 if fresh seeds have confirmed its best trial.",
        lambda one: one.is_confirmed,
    ),
)
_COUNTERS: Sequence[tuple[str, str, Callable[[Standing], int]]] = (
    (
        "takeovers",
        "Times that a trial was taken over from a dead worker.",
        lambda one: one.takeovers,
    ),
    (
        "trials_lost",
        "Trials that were given up because too many workers died.",
        lambda one: one.lost,
    ),
)
