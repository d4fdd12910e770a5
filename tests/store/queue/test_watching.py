"""What no worker tells: studies that nobody serves, and ends that were left untold."""

import time
from dataclasses import replace

import optuna
import pytest
from claiming import Workers, take
from known_studies import complete
from telling import Clock, end, our_study, told

from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.queue import control, watching
from cvfp_opt.store.queue.leases import Worker
from cvfp_opt.store.queue.watching import Watch
from cvfp_opt.store.queue.workers import StayingWorker, join, leave


@pytest.fixture
def study(store: Store) -> optuna.Study:
    """A study with five trials to run, submitted long ago."""
    return our_study(store, total=5)


def worker(**changes: object) -> StayingWorker:
    found = StayingWorker(**vars(Worker.of_this_process()))
    return replace(found, **changes)  # type: ignore[arg-type]


class Clockwork:
    """A watch whose looks lie so many minutes apart."""

    def __init__(self, store: Store) -> None:
        self.clock = Clock(time.time())
        self.watch = Watch(store=store, now=self.clock.now)
        self.look = self.watch.look

    def look_later(self, minutes: float) -> None:
        self.clock.time += 60 * minutes
        self.look()


def happened(store: Store, study: optuna.Study) -> None:
    """Something happened just now: else nobody can say since when the study waits."""
    control.pause(store, study)
    control.resume(store, study)


UNSERVED = ("no-worker", "waits: for 11 min no worker has run any of its 5 trials")


def unserved(store: Store) -> list[tuple[str, str]]:
    return [one for one in told(store) if one[0] == "no-worker"]


def test_a_study_that_waits_for_a_worker_is_told_once(store: Store, study: optuna.Study) -> None:
    happened(store, study)
    watch, other = Clockwork(store), Clockwork(store)
    for one in (watch, other):
        one.look()
    watch.look_later(9)
    assert unserved(store) == []
    watch.look_later(2)
    other.look_later(20)
    watch.look_later(20)
    assert unserved(store) == [UNSERVED]
    happened(store, study)
    watch = Clockwork(store)
    watch.look()
    watch.look_later(11)
    assert unserved(store) == [UNSERVED] * 2


def test_who_has_not_seen_it_wait_does_not_say_so(store: Store, study: optuna.Study) -> None:
    """A trial that was given back a second ago may have begun hours ago."""
    happened(store, study)
    clock = Clock(time.time() + 3600)
    Watch(store=store, now=clock.now).look()
    assert unserved(store) == []


@pytest.mark.parametrize(
    ("changes", "serves"),
    [
        ({}, True),
        ({"patterns": ("s*",)}, True),
        ({"patterns": ("paper-*",)}, False),
        ({"skipped": {"s": "another torch"}}, False),
        ({"seconds": -1.0}, False),  # it was silent for too long
    ],
)
def test_a_worker_that_may_take_it_serves_a_study(
    store: Store, study: optuna.Study, changes: dict[str, object], serves: bool
) -> None:
    happened(store, study)
    staying = worker(**changes)
    join(store, staying)
    watch = Clockwork(store)
    watch.look()
    watch.look_later(11)
    assert unserved(store) == ([] if serves else [UNSERVED])
    leave(store, staying)


def test_a_study_of_which_a_trial_runs_is_served(store: Store, study: optuna.Study) -> None:
    happened(store, study)
    running = take(Workers(store, study).add())
    watch = Clockwork(store)
    watch.look()
    watch.look_later(11)
    assert unserved(store) == []
    running.give_back()
    watch.look()
    watch.look_later(11)
    assert len(unserved(store)) == 1


def test_a_paused_study_and_one_without_a_total_wait_for_nobody(
    store: Store, study: optuna.Study
) -> None:
    control.pause(store, study)
    our_study(store, "unasked")
    watch = Clockwork(store)
    watch.look()
    watch.look_later(11)
    assert unserved(store) == []


def test_an_end_that_a_killed_worker_left_untold_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = our_study(store, "done", total=1)
    end(study, complete(0.5, 0.9, 0.9))
    watch = Watch(store=store)
    for _ in range(2):
        watch.look()
    assert told(store) == [
        ("study-done", "is done: 1 of 1 trials, best score 0.9000 (trial 0)"),
    ]
    monkeypatch.setattr(watching, "announce_end", None)  # it does not ask again
    watch.look()
