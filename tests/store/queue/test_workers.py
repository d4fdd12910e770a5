"""The table of workers that stay: they come, tell, are told, leave, and are found gone."""

from dataclasses import replace

import pytest
from sqlalchemy import update

from cvfp_opt.errors import StudyError
from cvfp_opt.store.database.storage import Store, open_for_reading
from cvfp_opt.store.database.tables import WORKERS
from cvfp_opt.store.queue.leases import Worker
from cvfp_opt.store.queue.workers import (
    Order,
    StayingWorker,
    Wanted,
    WorkerState,
    join,
    leave,
    read_workers,
    tell,
    want,
)


def new(**changes: object) -> StayingWorker:
    worker = StayingWorker(**vars(Worker.of_this_process()), version="1", device="cpu")
    return replace(worker, **changes)  # type: ignore[arg-type]


def test_a_worker_comes_tells_what_it_does_and_leaves(store: Store) -> None:
    worker = new(patterns=("paper-*",))
    join(store, worker)
    [seen] = read_workers(store)
    assert (seen.patterns, seen.state, seen.study_id) == (("paper-*",), WorkerState.STARTING, None)
    assert 0 <= seen.seen - seen.joined < 1
    changed = replace(
        worker, state=WorkerState.IDLE, study_id=7, reason="why", skipped={"other": "reasons"}
    )
    assert tell(store, changed) == Order()
    [seen] = read_workers(store)
    assert (seen.state, seen.study_id, seen.reason) == (WorkerState.IDLE, 7, "why")
    assert seen.skipped == {"other": "reasons"}
    leave(store, worker)
    assert read_workers(store) == []


def test_what_is_wanted_of_a_worker_is_read_when_it_tells(store: Store) -> None:
    worker = new()
    join(store, worker)
    assert want(store, worker.short, Wanted.DRAIN, within=60.0).worker == worker.worker
    order = tell(store, worker)
    assert order.wanted is Wanted.DRAIN
    assert order.seconds is not None
    assert 55 < order.seconds <= 60
    want(store, worker.worker, Wanted.STOP)
    assert tell(store, worker) == Order(wanted=Wanted.STOP)


@pytest.mark.parametrize("name", ["zz", "", "'; DROP TABLE studies; --"])
def test_a_worker_that_does_not_exist_is_named(store: Store, name: str) -> None:
    with pytest.raises(StudyError, match=r"there is no worker .*`cvfp-opt worker list"):
        want(store, name, Wanted.STOP)


def test_an_id_that_several_have_is_refused(store: Store) -> None:
    for end in "ab":
        join(store, new(worker="f" * 31 + end))
    with pytest.raises(StudyError, match="several workers have an id that begins with 'ff'"):
        want(store, "ff", Wanted.STOP)
    assert want(store, "f" * 31 + "a", Wanted.STOP).worker.endswith("a")


def test_a_worker_that_is_silent_for_too_long_or_whose_process_ended_is_gone(store: Store) -> None:
    silent = new(machine="elsewhere")
    dead = new(pid=2**22 + 1)
    for worker in (silent, dead):
        join(store, worker)
    assert [one.state for one in read_workers(store)] == [WorkerState.STARTING, WorkerState.GONE]
    with store.engine.begin() as connection:
        connection.execute(update(WORKERS).values(seen=WORKERS.c.seen - 61))
    assert {one.state for one in read_workers(store)} == {WorkerState.GONE}
    with pytest.raises(StudyError, match="is gone: it was silent for too long"):
        want(store, silent.worker, Wanted.DRAIN)
    tell(store, silent)  # it was only asleep
    assert read_workers(store)[0].state is WorkerState.STARTING


def test_one_that_has_been_gone_for_a_day_is_forgotten(store: Store) -> None:
    join(store, new())
    with store.engine.begin() as connection:
        connection.execute(update(WORKERS).values(seen=WORKERS.c.seen - 25 * 3600))
    younger = new()
    join(store, younger)
    assert [one.worker for one in read_workers(store)] == [younger.worker]


def test_a_worker_whose_row_was_removed_is_entered_again(store: Store) -> None:
    worker = new()
    join(store, worker)
    leave(store, worker)
    assert tell(store, worker) == Order()
    assert len(read_workers(store)) == 1


def test_what_a_newer_version_wrote_does_not_hinder_reading(store: Store) -> None:
    join(store, new())
    odd = {"state": "dancing", "wanted": "rest", "patterns": "{", "skipped": "[1]"}
    with store.engine.begin() as connection:
        connection.execute(update(WORKERS).values(odd))
    [seen] = read_workers(store)
    assert (seen.state, seen.wanted) == (WorkerState.RUNNING, Wanted.WORK)
    assert (seen.patterns, seen.skipped) == ((), {})


def test_a_database_of_before_has_no_workers(store: Store) -> None:
    with store.engine.begin() as connection:
        connection.exec_driver_sql(f"DROP TABLE {WORKERS.name}")
    with open_for_reading(store.location) as older:
        assert read_workers(older) == []
