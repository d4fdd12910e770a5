"""The cost of a service: workers that stay, many studies in a queue, the wait for a worker."""

import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import sqlalchemy

from benchmarks.bookkeeping import FileWatch, num_trials, search
from benchmarks.invented import ENVIRONMENT, InventedObjective
from benchmarks.timing import Result, Variant, taken_in_turn
from cvfp_opt.api.wishes import new_entry
from cvfp_opt.store.database.location import Location, resolve_location
from cvfp_opt.store.database.storage import Store, open_for_search
from cvfp_opt.store.queue.overview import read_queue
from cvfp_opt.tuning.plan import Plan, Request, make_plan
from cvfp_opt.tuning.stopping import SearchStopped, StopSwitch
from cvfp_opt.workers import staying, task
from cvfp_opt.workers.health import Pulse
from cvfp_opt.workers.staying import Staying
from cvfp_opt.workers.task import Task
from cvfp_opt.workers.terms import Terms

SETTINGS = ("search.pruner=none", "search.sampler=random")
# Databases of a server to measure with, beside an SQLite file; they are made anew and dropped.
_NAME = "cvfp_benchmark"
SERVERS = ("CVFP_BENCHMARK_POSTGRESQL", "CVFP_BENCHMARK_MYSQL")


class StayingWatch(FileWatch):
    """A StayingObserver that looks at its watch."""

    def serving(self, task: Task) -> None:
        pass

    def resting(self, reason: str) -> None:
        pass


@contextmanager
def databases() -> Iterator[list[Location]]:
    """Make an empty SQLite file, and a database on each server that is named."""
    named = [os.environ[name] for name in SERVERS if name in os.environ]
    with tempfile.TemporaryDirectory() as folder:
        found = [Location.of_file(Path(folder) / "study.db")]
        for url in named:
            _execute(
                url, "DROP DATABASE IF EXISTS cvfp_benchmark", "CREATE DATABASE cvfp_benchmark"
            )
            own = sqlalchemy.make_url(url).set(database="cvfp_benchmark")
            found.append(resolve_location(own.render_as_string(hide_password=False)))
        try:
            yield found
        finally:
            for url in named:
                _execute(url, f"DROP DATABASE {_NAME}")


def _execute(url: str, *statements: str) -> None:
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def _submit(location: Location, names: list[str], total: int) -> Plan:
    """Create studies of so many trials, and return the plan of the first."""
    plan = make_plan(location, Request(definition="recommended", settings=SETTINGS))
    plans = [replace(plan, name=name) for name in names]
    with open_for_search(location) as store:
        for own in plans:
            own.enter(store, dict(ENVIRONMENT), new_entry({"total": total}))
    return plans[0]


@contextmanager
def _invented(seconds: float = 0.0) -> Iterator[None]:
    """Let workers run invented trials."""

    def objective(one: Task) -> Any:
        return InventedObjective(one.plan.definition, one.plan.tokens, seconds)

    def nothing(*words: Any, last: bool) -> None:
        """Draw no page: that hangs on how many studies there are, and not on the claims."""

    with (
        mock.patch.object(Task, "objective", objective),
        mock.patch.object(task, "keep_current", nothing),
        mock.patch.object(staying, "describe_environment", return_value=dict(ENVIRONMENT)),
    ):
        yield


def _stay(location: Location, **terms: Any) -> StayingWatch:
    watch = StayingWatch()
    words = Terms(location=location, device="cpu", **{"until_idle": True, **terms})
    Staying(words, watch, StopSwitch(), Pulse(60.0)).run()
    return watch


def stays(repeats: int, seconds: float = 1.0, trials: int = 10) -> Result:
    """Compare a worker that stays with the loop of `run`, at trials of a second."""
    counter = iter(range(10**6))
    with tempfile.TemporaryDirectory() as folder, _invented(seconds):
        location = Location.of_file(Path(folder) / "study.db")

        def once(work: Callable[[Plan], FileWatch]) -> Callable[[], float]:
            def run() -> float:
                watch = work(_submit(location, [f"study {next(counter)}"], trials))
                return statistics.median(end - begin for begin, end in pairwise(watch.ended))

            return run

        def by_run(plan: Plan) -> FileWatch:
            watch = FileWatch()
            objective = InventedObjective(plan.definition, plan.tokens, seconds)
            with open_for_search(location) as store:
                search(store, plan.load(store), plan, watch, trials, objective)
            return watch

        ways = {"run": once(by_run), "worker": once(lambda plan: _stay(location))}
        variants = taken_in_turn(ways, repeats=max(1, repeats // 2), warm=False)
    return Result(
        row="stays",
        title=f"a trial of {seconds:g} s by `run` and by a worker that stays; SQLite",
        unit="trial",
        variants=variants,
        notes=("a ratio below 1 is the share of the time that is left for trials",),
    )


def claims(
    repeats: int, studies: int = 200, workers: int = 16, trials: int = 4000
) -> list[Result]:
    """Compare instant trials of one study by many workers with those of many studies.

    The workers are threads of one process, each with connections of its own.
    """
    with databases() as locations, _invented():
        return [_claims(one, repeats, studies, workers, trials) for one in locations]


def _claims(location: Location, repeats: int, studies: int, workers: int, trials: int) -> Result:
    counter = iter(range(10**6))

    def together(count: int, work: Callable[[Plan, list[str]], FileWatch]) -> Callable[[], float]:
        def run() -> float:
            names = [f"study {next(counter)}" for _ in range(count)]
            plan = _submit(location, names, trials // count)
            ready, failures = threading.Barrier(workers + 1), []

            def thread() -> None:
                ready.wait()
                try:
                    work(plan, names)
                except BaseException as error:
                    failures.append(error)

            threads = [threading.Thread(target=thread) for _ in range(workers)]
            for one in threads:
                one.start()
            ready.wait()
            began = time.perf_counter()
            for one in threads:
                one.join()
            spent = time.perf_counter() - began
            if failures:
                raise failures[0]
            with open_for_search(location) as store:
                _check(store, names, trials // count)
            return spent / trials

        return run

    def by_run(plan: Plan, names: list[str]) -> FileWatch:
        watch = FileWatch()
        with open_for_search(location) as store:
            study = plan.load(store)
            num_trials(study)
            search(store, study, plan, watch, trials)
        return watch

    def by_worker(plan: Plan, names: list[str]) -> FileWatch:
        return _stay(location, patterns=tuple(names))

    ways = {
        "one study, run": together(1, by_run),
        f"{studies} studies, workers that stay": together(studies, by_worker),
    }
    variants = taken_in_turn(ways, repeats=max(1, repeats // 3), warm=False)
    return Result(
        row="claims",
        title=f"{workers} workers, {trials} instant trials; {location.kind}",
        unit="trial",
        variants=variants,
        notes=("; ".join(_rate(one) for one in variants),),
    )


def _rate(variant: Variant) -> str:
    return f"{variant.name}: {1 / statistics.median(variant.seconds):.0f} trials a second"


def _check(store: Store, names: list[str], total: int) -> None:
    """Make sure that all trials were run, and none twice."""
    found = {study.name: study for study in read_queue(store)}
    for name in names:
        assert found[name].counts == {"complete": total}, found[name].counts


def first_claim(repeats: int) -> list[Result]:
    """Measure the time from `submit` to the first claim by a worker that was idle."""
    with databases() as locations, _invented():
        return [_first_claim(one, repeats) for one in locations]


def _first_claim(location: Location, repeats: int) -> Result:
    _submit(location, ["before"], 1)
    _stay(location)
    stop, watch = StopSwitch(), StayingWatch()
    terms = Terms(location=location, device="cpu")

    def stay() -> None:
        with suppress(SearchStopped):
            Staying(terms, watch, stop, Pulse(60.0)).run()

    thread = threading.Thread(target=stay)
    thread.start()
    counter = iter(range(10**6))

    def wait() -> float:
        seen = len(watch.ended)
        _submit(location, [f"study {next(counter)}"], 1)
        began = time.perf_counter()
        while len(watch.ended) == seen:
            time.sleep(0.001)
        return watch.began - began

    try:
        variants = taken_in_turn({"an idle worker": wait}, repeats=4 * repeats)
    finally:
        stop.stop()
        thread.join()
    return Result(
        row="first claim",
        title=f"from submit to the first claim; {location.kind}",
        unit="",
        variants=variants,
    )
