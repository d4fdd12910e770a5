"""The Dask engine on a real cluster of this machine; its decisions on one that is scripted."""

import os
import pickle
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import psutil
import pytest
from optuna.trial import TrialState, create_trial
from running import (
    TWO_JOBS,
    end_of,
    finished_lines,
    read_until,
    states,
    trials,
    wait_for_trial,
)
from support import TINY_ARGUMENTS, Outcome, Start

pytest.importorskip("distributed")

from distributed import LocalCluster

from cvfp_opt.errors import ClusterError, CvfpOptError, DataError, SearchError
from cvfp_opt.search.stopping import SearchStopped
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.record.progress import StudyProgress
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.workers.dask import engine as dask
from cvfp_opt.workers.dask.cluster import start_local
from cvfp_opt.workers.dask.engine import DaskWorkers
from cvfp_opt.workers.dask.members import Member
from cvfp_opt.workers.dask.task import Assignment, Place, leave, receive
from cvfp_opt.workers.engine import Job
from cvfp_opt.workers.listening import WorkerError
from cvfp_opt.workers.messages import (
    Began,
    Broken,
    Ended,
    Ending,
    Message,
    Notice,
    Refused,
    TrialFinished,
    TrialStarted,
)
from cvfp_opt.workers.task import Task

Invoke = Callable[..., Outcome]


# --- a real cluster -------------------------------------------------------------------------


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    """A Dask cluster of the user's, with one worker so far."""
    with LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50
    ) as cluster:
        yield cluster


# Trials go on for a minute as long as there is a file "slow", and end in a moment without.
LOSS = """
import time
from pathlib import Path
from cvfp_opt.model.diversity import orthogonality

def loss(contexts, running_mean):
    if Path("slow").exists():
        time.sleep(0.4)
    return orthogonality(contexts, running_mean)
"""
PACED = [
    "diversity.loss=mine:loss",
    "training.num_iterations=40",
    "training.min_converged_ratio=1.0",
    "search.pruner=none",
]


def on(cluster: LocalCluster) -> list[str]:
    settings = [word for setting in PACED for word in ("--set", setting)]
    run = ["run", "quick", *TINY_ARGUMENTS, *settings, "--n-trials", "4"]
    return [*run, "--engine", "dask", "--scheduler", cluster.scheduler_address]


@pytest.mark.processes
def test_workers_come_die_and_retire_and_the_total_stays_exact(
    cluster: LocalCluster, start: Start, invoke: Invoke
) -> None:
    Path("mine.py").write_text(LOSS)
    Path("slow").touch()
    process = start(*on(cluster), cwd=Path.cwd())
    read_until(process, "1 of 1 Dask workers search: 1 with 1 thread")
    cluster.scale(2)
    read_until(process, "2 of 2 Dask workers search: 2 with 1 thread")
    os.kill(wait_for_trial(process), signal.SIGKILL)
    out = read_until(process, " died")
    assert out.splitlines()[-1].startswith("Dask worker")
    out += read_until(process, "2 of 2 Dask workers search")
    taken_over = "was left by a dead worker: it goes on here"
    if taken_over not in out:  # in whatever order
        read_until(process, taken_over)
    cluster.scale(1)
    out = read_until(process, "retires")
    assert "retires and gave it back" in out.splitlines()[-1]
    wait_for_trial(process)
    process.send_signal(signal.SIGINT)
    code, out = end_of(process)
    assert code == 130, out
    assert "nothing is lost. To go on, type: cvfp-opt run --study-name quick" in out
    assert TrialState.WAITING in states()
    assert TrialState.RUNNING not in states()

    process = start(*on(cluster), cwd=Path.cwd())
    wait_for_trial(process)
    process.kill()  # nobody tells the tasks; Dask forgets them
    end_of(process)
    while TrialState.RUNNING in states():
        time.sleep(0.05)

    Path("slow").unlink()
    outcome = invoke(*on(cluster))
    assert outcome.code == 0, outcome.err
    assert states() == [TrialState.COMPLETE] * 4
    assert "[4/4]" in finished_lines(outcome.out)[-1]


@pytest.mark.processes
def test_without_a_scheduler_a_cluster_of_our_own_runs_the_trials(invoke: Invoke) -> None:
    outcome = invoke(*TWO_JOBS, "--engine", "dask", "--n-trials", "6")
    assert outcome.code == 0, outcome.err
    assert "on Dask workers of this machine" in outcome.out
    assert "2 of 2 Dask workers search: 2 with 1 thread" in outcome.out
    found = trials()
    assert [t.state for t in found] == [TrialState.COMPLETE] * 6
    assert {t.user_attrs["environment"]["threads"] for t in found} == {1}
    children = psutil.Process().children(recursive=True)
    assert not [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    again = invoke(*TWO_JOBS, "--engine", "dask", "--n-trials", "6")
    assert again.code == 0
    assert "Dask workers search" not in again.out


@pytest.mark.processes
def test_a_cluster_of_our_own_leaves_an_interrupt_to_us_and_can_be_killed() -> None:
    cluster = start_local(1, 1, Location.of_file(Path("x.db")))
    try:
        [member] = cluster.members()
        [pid] = cluster.ask([member.address], os.getpid).values()
        blocked = cluster.ask([member.address], signal.pthread_sigmask, signal.SIG_BLOCK, [])
        assert signal.SIGINT in blocked[member.address]
        cluster.tell(member.address, time.sleep, 60)
        cluster.kill()
        assert not psutil.pid_exists(pid)
    finally:
        cluster.close()


# --- a scripted cluster ---------------------------------------------------------------------


@dataclass
class FakeFuture:
    """Of a task that never runs."""

    key: str
    released: bool = False
    status: str = "pending"

    def add_done_callback(self, callback: object) -> None:
        pass

    def release(self) -> None:
        self.released = True


@dataclass
class FakeCluster:
    """A cluster whose members a test moves, and for whose tasks it speaks.

    ``script`` is asked once at each look; what it yields is the members then.
    """

    script: Callable[["FakeCluster"], Iterator[list[Member]]]
    address: str = "tcp://scheduler:8786"
    tasks: list[tuple[Member, Assignment, FakeFuture]] = field(default_factory=list)
    told: list[tuple[Any, ...]] = field(default_factory=list)
    unanswered: set[str] = field(default_factory=set)

    def members(self) -> list[Member]:
        self._now = next(self._looks)
        return self._now

    def present(self) -> set[str]:
        return {member.address for member in self._now}

    def take_refusals(self) -> list[str]:
        return []

    def listen(self, topic: str, hear: Callable[[Any], None]) -> None:
        self._hear = hear
        self._looks = self.script(self)

    def ask(self, addresses: list[str], function: object, *args: Any, seconds: float) -> Any:
        assert function is receive
        return {address: None for address in addresses if address not in self.unanswered}

    def tell(self, *what: Any) -> None:
        self.told.append(what)

    def submit(self, member: Member, assignment: Assignment) -> FakeFuture:
        future = FakeFuture(assignment.key)
        self.tasks.append((member, assignment, future))
        return future

    def say(self, task: int, *messages: Message) -> None:
        assignment = self.tasks[task][1]
        for message in messages:
            self._hear((assignment.run, assignment.key, pickle.dumps(message)))


def member(name: str, *, host: str = "", num_threads: int = 1, threads: int = 8) -> Member:
    place = Place(version="", host=host or name, boot=host or name, processors=(), threads=threads)
    return Member(
        address=f"tcp://{name}:1", name=f"Dask worker {name}", num_threads=num_threads, place=place
    )


class Observer:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.notices: list[str] = []
        self.counts: list[int] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def workers_changed(self, count: int) -> None:
        self.counts.append(count)

    def trial_started(self, number: int, params: dict[str, Any]) -> None:
        pass

    def trial_event(self, number: int, event: object) -> None:
        pass

    def trial_finished(self, record: TrialRecord, progress: StudyProgress) -> None:
        pass

    def trial_dropped(self, number: int) -> None:
        pass


@dataclass
class Never:
    """A Stop that never comes, or has."""

    came: bool = False

    def check(self) -> None:
        if self.came:
            raise SearchStopped(signal.SIGINT)


@dataclass
class Bench:
    """An engine on a scripted cluster."""

    study: optuna.Study
    observer: Observer
    stop: Never
    cluster: FakeCluster
    workers: DaskWorkers

    def run(self) -> None:
        self.workers.run(self.stop)

    def finish_trials(self, count: int) -> None:
        for _ in range(count):
            self.study.add_trial(create_trial(value=1.0))


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bench]:
    monkeypatch.setattr(dask, "LOOK_SECONDS", 0.01)

    def make(
        script: Callable[[FakeCluster], Iterator[list[Member]]],
        *,
        total: int = 4,
        count: int | None = None,
        threads: int | None = None,
    ) -> Bench:
        plan: Any = SimpleNamespace(name="s")
        task = Task(
            location=Location.of_file(Path("x.db")), plan=plan, environment={}, total=total
        )
        study, observer, cluster = optuna.create_study(), Observer(), FakeCluster(script)
        store: Any = None
        job = Job(task=task, count=count, store=store, study=study, observer=observer)
        workers = DaskWorkers(cluster, job, "cpu", threads)  # type: ignore[arg-type]
        return Bench(study, observer, Never(), cluster, workers)

    return make


A, B, C = member("a"), member("b"), member("c")
DONE = Ended(Ending.DONE)


@pytest.mark.parametrize(
    ("total", "count", "tasks"), [(9, None, 3), (2, None, 2), (9, 1, 1), (9, 5, 3)]
)
def test_there_are_as_many_tasks_as_workers_trials_and_jobs_allow(
    bench: Callable[..., Bench], total: int, count: int | None, tasks: int
) -> None:
    def script(cluster: FakeCluster) -> Iterator[list[Member]]:
        yield [A, B, C]
        yield [A, B, C]
        for task in range(tasks):
            cluster.say(task, Began(1), DONE)
        yield from repeat([A, B, C], 20)

    at_work = bench(script, total=total, count=count)
    at_work.run()
    assert [task[0] for task in at_work.cluster.tasks][:tasks] == [A, B, C][:tasks]
    assert len({task[1].key for task in at_work.cluster.tasks}) == len(at_work.cluster.tasks)


def test_a_worker_that_joins_gets_a_task_and_one_that_did_not_answer_gets_it_later(
    bench: Callable[..., Bench],
) -> None:
    def script(cluster: FakeCluster) -> Iterator[list[Member]]:
        yield []
        cluster.unanswered = {A.address}
        yield [A]
        assert cluster.tasks == []
        cluster.unanswered = set()
        yield from repeat([A], 2)
        assert [task[0] for task in cluster.tasks] == [A]
        yield from repeat([A, B], 2)
        cluster.say(0, Began(1), DONE)
        cluster.say(1, Began(1), DONE)
        yield from repeat([A, B], 20)

    at_work = bench(script)
    at_work.run()
    assert [task[0] for task in at_work.cluster.tasks] == [A, B]


def test_waiting_for_a_first_worker_is_said_once(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask, "ALONE_SECONDS", 0.0)

    def script(cluster: FakeCluster) -> Iterator[list[Member]]:
        for _ in range(5):
            yield []
        at_work.finish_trials(4)
        yield from repeat([], 20)

    at_work = bench(script)
    at_work.run()
    [notice] = at_work.observer.notices
    assert "`dask worker tcp://scheduler:8786` adds one" in notice


def test_threads_are_what_dask_was_given_but_never_more_than_the_host_has(
    bench: Callable[..., Bench],
) -> None:
    one = member("one", host="h", num_threads=4, threads=4)
    two = member("two", host="h", num_threads=4, threads=4)
    apart = member("apart", num_threads=2, threads=64)

    def script(cluster: FakeCluster) -> Iterator[list[Member]]:
        yield [one, apart]
        cluster.say(0, Began(4))
        cluster.say(1, Began(2))
        yield from repeat([one, apart], 2)
        yield from repeat([one, two, apart], 2)
        assert cluster.told == [(one.address, leave, cluster.tasks[0][1].key)]
        yield [one, two, apart]
        cluster.say(0, Ended(Ending.LEFT))
        yield from repeat([one, two, apart], 2)
        cluster.say(3, Began(2))
        yield [one, two, apart]
        at_work.finish_trials(9)
        for task in (1, 2, 3):
            cluster.say(task, DONE)
        yield from repeat([], 20)

    at_work = bench(script, total=9)
    at_work.run()
    tasks = [(task[0].name, task[1].threads) for task in at_work.cluster.tasks]
    assert tasks == [
        ("Dask worker one", 4),
        ("Dask worker apart", 2),
        ("Dask worker two", 2),
        ("Dask worker one", 2),
    ]
    assert "2 of 2 Dask workers search: 1 with 2 threads, 1 with 4 threads" in (
        at_work.observer.notices
    )
    assert len(at_work.cluster.told) == 1


def test_threads_that_the_user_named_are_taken(bench: Callable[..., Bench]) -> None:
    def script(cluster: FakeCluster) -> Iterator[list[Member]]:
        yield [A]
        cluster.say(0, Began(6), DONE)
        yield from repeat([A], 20)

    at_work = bench(script, threads=6)
    at_work.run()
    assert at_work.cluster.tasks[0][1].threads == 6


def dying(cluster: FakeCluster, finish: Callable[[], None]) -> Iterator[list[Member]]:
    """Each worker dies after it began; its nanny starts another one at another address."""
    for death in range(100):
        here = member(f"w{death}")
        yield [here]
        cluster.say(death, Began(1), TrialStarted(death % 3, {}))
        finish()
        yield [here]
        yield from repeat([], 2)
    raise AssertionError("goes on for ever")


def test_workers_that_keep_dying_are_given_up(bench: Callable[..., Bench]) -> None:
    at_work = bench(lambda cluster: dying(cluster, lambda: None))
    at_work.run()
    deaths = [text for text in at_work.observer.notices if text.endswith(" died")]
    assert len(deaths) == 4
    assert deaths[0] == "Dask worker w0, which ran trial 0, died"
    with pytest.raises(SearchError, match="4 of 4 trials are left undone: 4 workers died"):
        at_work.workers.check_undone()


def test_where_workers_keep_dying_those_that_live_go_on_alone(
    bench: Callable[..., Bench],
) -> None:
    def script(cluster: FakeCluster) -> Iterator[list[Member]]:
        yield [A]
        cluster.say(0, Began(1))
        for death in range(1, 9):
            yield from repeat([A, member(f"w{death}")], 2)
            yield from repeat([A], 2)
        at_work.finish_trials(4)
        cluster.say(0, DONE)
        yield from repeat([A], 20)

    at_work = bench(script)
    at_work.run()
    assert len(at_work.cluster.tasks) == 1 + 5
    at_work.workers.check_undone()


def test_workers_may_die_for_ever_if_trials_finish_in_between(bench: Callable[..., Bench]) -> None:
    def finish() -> None:
        at_work.finish_trials(1)
        record = TrialRecord.of(at_work.study.trials[-1])
        at_work.cluster.say(len(at_work.cluster.tasks) - 1, TrialFinished(record))

    at_work = bench(lambda cluster: dying(cluster, finish), total=20)
    at_work.run()
    at_work.workers.check_undone()
    assert len(at_work.cluster.tasks) == 20


def test_a_worker_that_cannot_search_is_left_out_where_others_can(
    bench: Callable[..., Bench],
) -> None:
    def script(cluster: FakeCluster) -> Iterator[list[Member]]:
        yield [A, B]
        cluster.say(0, Began(1))
        cluster.say(1, Began(1), Refused(DataError("no such file")))
        yield [A, B]
        yield [A, B]
        cluster.say(0, DONE)
        yield from repeat([A, B], 20)

    at_work = bench(script)
    at_work.run()
    assert len(at_work.cluster.tasks) == 2
    assert "left out: Dask worker b: no such file" in at_work.observer.notices


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (Refused(DataError("no such file")), DataError),
        (Broken("ValueError: x", "trace"), WorkerError),
    ],
)
def test_an_error_that_no_worker_escapes_ends_the_search(
    bench: Callable[..., Bench], message: Message, error: type[Exception]
) -> None:
    def script(cluster: FakeCluster) -> Iterator[list[Member]]:
        yield [A]
        cluster.say(0, Began(1), message)
        yield from repeat([A], 20)

    at_work = bench(script)
    with pytest.raises(error):
        at_work.run()


def test_a_search_that_gives_up_ends_all_its_tasks(bench: Callable[..., Bench]) -> None:
    def script(cluster: FakeCluster) -> Iterator[list[Member]]:
        yield [A, B]
        cluster.say(0, Began(1))
        cluster.say(1, Began(1), Refused(SearchError("the first 5 trials all failed")))
        yield from repeat([A, B], 20)

    at_work = bench(script)
    with pytest.raises(CvfpOptError, match="the first 5"):
        at_work.run()
    assert all(future.released for _, _, future in at_work.cluster.tasks)


def test_what_comes_late_from_a_worker_that_is_gone_is_not_heard(
    bench: Callable[..., Bench],
) -> None:
    def script(cluster: FakeCluster) -> Iterator[list[Member]]:
        yield [A]
        cluster.say(0, Began(1))
        yield [A]
        yield from repeat([B], 4)
        cluster.say(0, Notice("from the past"), Refused(DataError("too")))
        cluster.say(1, Began(1), DONE)
        yield from repeat([B], 20)

    at_work = bench(script)
    at_work.run()
    assert "Dask worker a died" in at_work.observer.notices
    assert "from the past" not in at_work.observer.notices


def test_a_stop_takes_back_what_has_not_begun_and_waits_for_the_rest(
    bench: Callable[..., Bench],
) -> None:
    def script(cluster: FakeCluster) -> Iterator[list[Member]]:
        yield [A, B]
        cluster.say(0, Began(1))
        yield [A, B]
        at_work.stop.came = True
        at_work.workers.stop()
        yield [A, B]
        assert all(future.released for _, _, future in cluster.tasks)
        yield [A, B, C]
        cluster.say(0, Ended(Ending.UNWANTED))
        yield from repeat([A, B, C], 20)

    at_work = bench(script)
    with pytest.raises(SearchStopped):
        at_work.run()
    assert len(at_work.cluster.tasks) == 2


def test_a_retired_workers_trial_is_told_and_taken_by_others(bench: Callable[..., Bench]) -> None:
    def script(cluster: FakeCluster) -> Iterator[list[Member]]:
        yield [A, B]
        cluster.say(0, Began(1), TrialStarted(0, {}))
        cluster.say(1, Began(1), DONE)
        yield [A, B]
        cluster.say(0, Ended(Ending.RETIRED))
        yield from repeat([B], 3)
        cluster.say(2, Began(1), DONE)
        yield from repeat([B], 20)

    at_work = bench(script)
    at_work.run()
    assert [task[0] for task in at_work.cluster.tasks] == [A, B, B]
    assert "Dask worker a, which ran trial 0, retires and gave it back" in at_work.observer.notices


def test_a_scheduler_that_is_gone_ends_the_search(bench: Callable[..., Bench]) -> None:
    def script(cluster: FakeCluster) -> Iterator[list[Member]]:
        yield [A]
        raise ClusterError("gone")

    with pytest.raises(ClusterError):
        bench(script).run()
