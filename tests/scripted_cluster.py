"""A Dask cluster that a test scripts, and the engine on it."""

import pickle
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.trial import create_trial

from cvfp_opt.store.record.progress import StudyProgress
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.tuning.stopping import SearchStopped
from cvfp_opt.workers.dask.engine import DaskWorkers
from cvfp_opt.workers.dask.members import Member
from cvfp_opt.workers.dask.task import Assignment, Place, receive
from cvfp_opt.workers.messages import (
    Ended,
    Ending,
    Message,
)


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
    called: list[tuple[Any, ...]] = field(default_factory=list)
    unanswered: set[str] = field(default_factory=set)

    def members(self) -> list[Member]:
        self._now = next(self._looks)
        return self._now

    def present(self) -> set[str]:
        return {member.address for member in self._now}

    def take_refusals(self) -> list[str]:
        return []

    def listen(self, topic: str, receive: Callable[[Any], None]) -> None:
        self._receive = receive
        self._looks = self.script(self)

    def ask(self, addresses: list[str], function: object, *args: Any, seconds: float) -> Any:
        assert function is receive
        return {address: None for address in addresses if address not in self.unanswered}

    def call_later(self, *what: Any) -> None:
        self.called.append(what)

    def submit(self, member: Member, assignment: Assignment) -> FakeFuture:
        future = FakeFuture(assignment.key)
        self.tasks.append((member, assignment, future))
        return future

    def say(self, task: int, *messages: Message) -> None:
        assignment = self.tasks[task][1]
        for message in messages:
            self._receive((assignment.run, assignment.key, pickle.dumps(message)))


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


A, B, C = member("a"), member("b"), member("c")
DONE = Ended(Ending.DONE)
