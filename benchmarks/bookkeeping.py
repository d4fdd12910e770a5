"""The cost of bookkeeping: trials that train nothing, but are claimed, reported and ended."""

import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.pruners import NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import RDBStorage

from benchmarks.invented import ENVIRONMENT, InventedObjective, attributes, fill
from benchmarks.timing import Result, taken_in_turn
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import Store, open_for_search
from cvfp_opt.store.record.progress import StudyProgress
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.training.events import Event, IterationFinished
from cvfp_opt.tuning import trial_reports as reporting
from cvfp_opt.tuning.plan import Plan, Request, make_plan
from cvfp_opt.tuning.stopping import SearchStopped, StopRequest
from cvfp_opt.workers.task import Task

# As `run` does it: else each report has a transaction of its own, as Optuna's have.
TOGETHER = "cvfp-opt, quick reports together"
# Trials that one way does before it is the other's turn.
BLOCK = 20


class FileWatch:
    """A SearchObserver that looks at its watch.

    Attributes:
        began: when a trial last began.
        number: number of that trial.
        ended: when each trial ended.
        processor: seconds that this thread had computed by then.
    """

    def __init__(self, only_begin: bool = False) -> None:
        self._only_begin = only_begin
        self.began = 0.0
        self.number = -1
        self.ended: list[float] = []
        self.processor: list[float] = []

    def notice(self, text: str) -> None:
        raise AssertionError(text)

    def trial_started(self, number: int, params: dict[str, Any]) -> None:
        self.began, self.number = time.perf_counter(), number
        if self._only_begin:
            raise SearchStopped(2)

    def trial_event(self, number: int, event: Event) -> None:
        pass

    def trial_finished(self, record: TrialRecord, progress: StudyProgress) -> None:
        self.ended.append(time.perf_counter())
        self.processor.append(time.thread_time())

    def trial_dropped(self, number: int) -> None:
        raise AssertionError(number)


def search(
    store: Store,
    study: optuna.Study,
    plan: Plan,
    watch: FileWatch,
    total: int,
    objective: InventedObjective | None = None,
) -> None:
    """Run our own loop until the study has so many trials."""
    task = Task(location=store.location, plan=plan, environment=dict(ENVIRONMENT), total=total)
    invented: Any = objective or InventedObjective(plan.definition, plan.tokens)
    task.search(store, study, watch, StopRequest(lambda: None), invented)


@contextmanager
def filled(count: int, *settings: str) -> Iterator[tuple[Store, Plan]]:
    """Make a database with the recommended search, changed, and so many finished trials of it.

    A trial has ten iterations, as all figures in docs/performance.md do.
    """
    with tempfile.TemporaryDirectory() as folder:
        location = Location.of_file(Path(folder) / "study.db")
        words = ("training.num_iterations=10", *settings)
        plan = make_plan(location, Request(definition="recommended", settings=words))
        with open_for_search(location) as store:
            study, _ = plan.enter(store, dict(ENVIRONMENT))
            fill(store, study, plan.definition, count)
            yield store, plan


def num_trials(study: optuna.Study) -> int:
    """Count the trials of a study."""
    return len(study.get_trials(deepcopy=False))


def synchronize(engine: sqlalchemy.Engine, level: str) -> None:
    """Make an SQLite engine as durable as ``PRAGMA synchronous`` says, with a WAL."""

    def set_up(connection: Any, record: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={level}")

    sqlalchemy.event.listen(engine, "connect", set_up)
    engine.dispose()


def optimize(study: optuna.Study, plan: Plan, count: int) -> list[float]:
    """Let stock Optuna write what our own loop writes; return when each trial ended."""
    invented, ended = InventedObjective(plan.definition), []

    def objective(trial: optuna.Trial) -> float:
        iterations: list[dict[str, Any]] = []

        def observe(event: Event) -> None:
            if isinstance(event, IterationFinished):
                iterations.append(dict(vars(event.metrics)))
                trial.set_user_attr("iterations", iterations)
                trial.report(event.metrics.score, event.metrics.iteration)

        result = invented(plan.definition.space.suggest(trial), trial.number, observe)
        for key, value in attributes(result).items():
            trial.set_user_attr(key, value)
        return result.iterations[-1].score

    def look(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        ended.append(time.perf_counter())

    study.optimize(objective, n_trials=count, callbacks=[look])
    return ended


SAMPLERS: Mapping[str, Callable[[], BaseSampler]] = {
    "random": lambda: RandomSampler(seed=0),
    "tpe": lambda: TPESampler(seed=0),
}
"""Optuna's own, by our names."""


def stock(store: Store, plan: Plan, level: str) -> optuna.Study:
    """Open a study as stock Optuna does."""
    storage = RDBStorage(store.location.url)
    synchronize(storage.engine, level)
    return optuna.load_study(
        study_name=plan.name,
        storage=storage,
        sampler=SAMPLERS[plan.definition.search.sampler](),
        pruner=NopPruner(),
    )


def bookkeeping(repeats: int, level: str = "NORMAL", count: int = 100) -> list[Result]:
    """Compare stock Optuna with our own loop, on trials with ten reports and 7 kB of attributes.

    With random points, which is the books alone, and with TPE's, which cost both the same.
    """
    return [_compare(repeats, level, count, sampler) for sampler in SAMPLERS]


def durable(repeats: int, count: int = 100) -> list[Result]:
    """Compare as ``bookkeeping`` does, but so that nothing is lost when the power fails."""
    return bookkeeping(repeats, "FULL", count)


def _compare(repeats: int, level: str, count: int, sampler: str) -> Result:
    """Compare, each in a file of its own on one disk, so that neither reads the other's rows."""
    processor: dict[str, list[float]] = {"Optuna": [], "cvfp-opt": [], TOGETHER: []}
    settings = ("search.pruner=none", f"search.sampler={sampler}")

    def timer(name: str, run: Callable[[], list[float]]) -> Callable[[], float]:
        def median() -> float:
            spent, started = time.process_time(), time.perf_counter()
            ended = run()
            processor[name].append((time.process_time() - spent) / BLOCK)
            return statistics.median(end - begin for begin, end in pairwise([started, *ended]))

        return median

    with ExitStack() as stack:
        store, plan = stack.enter_context(filled(count, *settings))
        synchronize(store.engine, level)
        study = plan.load(store)
        their_store, _ = stack.enter_context(filled(count, *settings))
        theirs = stock(their_store, plan, level)

        def ours(report_seconds: float) -> list[float]:
            with reporting_every(report_seconds):
                watch = FileWatch()
                search(store, study, plan, watch, num_trials(study) + BLOCK)
            return watch.ended

        ways = {
            "Optuna": timer("Optuna", lambda: optimize(theirs, plan, BLOCK)),
            "cvfp-opt": timer("cvfp-opt", lambda: ours(0.0)),
            TOGETHER: timer(TOGETHER, lambda: ours(reporting.REPORT_SECONDS)),
        }
        variants = taken_in_turn(ways, repeats=2 * repeats)
    each = {name: 1e3 * statistics.median(spent) for name, spent in processor.items()}
    return Result(
        row="durable" if level == "FULL" else "bookkeeping",
        title=f"a trial with 10 reports, {sampler} points, in a study of {count}; {level}",
        unit="trial",
        variants=variants,
        notes=(
            f"medians of {BLOCK} trials; WAL, synchronous={level}; processor time a trial, with "
            "mirrors: " + ", ".join(f"{name} {value:.1f} ms" for name, value in each.items()),
        ),
    )


@contextmanager
def reporting_every(seconds: float) -> Iterator[None]:
    """Write reports no more often than every so many seconds."""
    before, reporting.REPORT_SECONDS = reporting.REPORT_SECONDS, seconds
    try:
        yield
    finally:
        reporting.REPORT_SECONDS = before


def overhead(repeats: int, seconds: float = 1.0, workers: int = 16, count: int = 100) -> Result:
    """Measure trials of a second: alone, by one worker, and by many workers of one SQLite file.

    The many are threads of one process, each with connections of its own.
    """
    processor: dict[str, list[float]] = {}
    with filled(count) as (store, plan):
        objective = InventedObjective(plan.definition, plan.tokens, seconds)

        def alone() -> float:
            started, spent = time.perf_counter(), time.thread_time()
            objective({}, 0)
            processor.setdefault("alone", []).append(time.thread_time() - spent)
            return time.perf_counter() - started

        def together(name: str, several: int) -> Callable[[], float]:
            def run() -> float:
                total = num_trials(plan.load(store)) + several * BLOCK // 2
                watches = _run_workers(store, plan, total, several, objective)
                for watch in watches:
                    spent = [end - begin for begin, end in pairwise(watch.processor)]
                    processor.setdefault(name, []).extend(spent)
                return statistics.median(
                    end - begin for watch in watches for begin, end in pairwise(watch.ended)
                )

            return run

        many = f"{workers} workers"
        ways = {"alone": alone, "1 worker": together("1 worker", 1), many: together(many, workers)}
        variants = taken_in_turn(ways, repeats=max(1, repeats // 2), warm=False)
    means = {name: statistics.mean(spent) for name, spent in processor.items()}
    plain = means.pop("alone")
    return Result(
        row="overhead",
        title=f"a trial of {seconds:g} s in a study of {count}; WAL, synchronous=NORMAL",
        unit="trial",
        variants=variants,
        notes=(
            "processor time for the books of a trial: "
            + ", ".join(f"{n} {1e3 * (spent - plain):.1f} ms" for n, spent in means.items()),
        ),
    )


def _run_workers(
    store: Store, plan: Plan, total: int, count: int, objective: InventedObjective
) -> list[FileWatch]:
    """Run workers side by side until the study has so many trials."""
    watches = [FileWatch() for _ in range(count)]

    def work(watch: FileWatch) -> None:
        with open_for_search(store.location) as own:
            study = plan.load(own)
            num_trials(study)  # what is there is read before
            ready.wait()
            search(own, study, plan, watch, total, objective)

    ready = threading.Barrier(count)
    threads = [threading.Thread(target=work, args=(watch,)) for watch in watches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return watches
