"""Workers and the queue from Python."""

import re

import pytest
from databases import SERVERS, empty_database
from support import TINY

import cvfp_opt as cv
from cvfp_opt.api.fleet import stay_at_work
from cvfp_opt.store.database.storage import open_for_editing
from cvfp_opt.store.queue import control
from cvfp_opt.store.queue.leases import Worker
from cvfp_opt.store.queue.workers import StayingWorker, join
from cvfp_opt.store.record.studies import load_study
from cvfp_opt.workers.shares import Workers

ONE = Workers(n_jobs=1, device="cpu")


def submit(name: str, n_trials: int) -> cv.Study:
    plan = cv.define("quick").set(
        {key: int(value) for key, value in (one.split("=") for one in TINY)}
    )
    return cv.submit(plan, name=name, n_trials=n_trials)


def test_work_runs_what_is_submitted_and_returns() -> None:
    paper, other = submit("paper-1", 2), submit("other", 1)
    cv.work("paper-*", workers=ONE)
    assert (len(paper.trials), len(other.trials)) == (2, 0)
    cv.work(workers=ONE, max_trials=1)
    assert [(one.name, one.stage) for one in cv.queue()] == [
        ("paper-1", "done"),
        ("other", "done"),
    ]
    assert cv.list_workers() == []
    with pytest.raises(cv.StudyError, match="there is no worker with an id that begins with 'ff'"):
        cv.drain_worker("ff")
    with pytest.raises(cv.StudyError, match="there is no worker"):
        cv.stop_worker("ff")


@pytest.mark.parametrize("kind", SERVERS)
def test_a_worker_may_come_to_a_server_before_any_study(kind: str) -> None:
    with empty_database(kind) as location:
        cv.work(storage=location, workers=ONE)
        assert cv.queue(storage=location) == []


def test_what_is_mistyped_is_said() -> None:
    with pytest.raises(cv.StorageError, match="there is no study database"):
        cv.work(storage="nowhere.db", workers=ONE)
    submit("a", 1)
    with pytest.raises(cv.DefinitionError, match=re.escape('hours: "18-08 Mon-Fri"')):
        cv.work(hours="late", workers=ONE)
    with pytest.raises(cv.DefinitionError, match="max_trials: at least 1 is required"):
        cv.work(max_trials=0, workers=ONE)
    with pytest.raises(cv.ClusterError, match="workers that stay are processes of this machine"):
        stay_at_work(cv.open("a").location, Workers(engine="dask"))


def test_who_waits_for_a_study_waits_for_a_worker_that_will_begin_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cvfp_opt.api.looking._LOOK_SECONDS", 0.0)
    study = submit("a", 1)
    assert study.wait()  # nobody is there to begin it
    with open_for_editing(study.location) as store:
        join(store, StayingWorker(**vars(Worker.of_this_process())))
        assert not study.wait(timeout=0)
        control.pause(store, load_study(store, "a"))
        assert study.wait()
