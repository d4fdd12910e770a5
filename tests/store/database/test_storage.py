"""The storage under several processes: each trial claimed once, stopped ones as if new."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import optuna
import psutil
import pytest
from optuna.trial import TrialState

from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.store.database.storage import Store, open_for_search
from cvfp_opt.store.leases import LEASE, Lease
from cvfp_opt.store.studies import give_back_dead_trials


@pytest.fixture
def store() -> Iterator[Store]:
    with open_for_search(resolve_location("x.db")) as opened:
        yield opened


@pytest.fixture
def study(store: Store) -> optuna.Study:
    return optuna.create_study(study_name="s", storage=store.storage, direction="maximize")


def dead_lease() -> Lease:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return replace(Lease.of_this_process(), pid=process.pid)


def test_a_new_trial_carries_the_lease_of_its_worker(study: optuna.Study) -> None:
    study.ask()
    lease = Lease.from_dict(study.trials[0].system_attrs[LEASE])
    assert (lease.pid, lease.is_dead()) == (os.getpid(), False)


def test_a_process_that_ended_is_dead_even_if_nobody_asked_how() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = psutil.Process(process.pid).create_time()
    lease = replace(Lease.of_this_process(), pid=process.pid, started=started)
    assert not lease.is_dead()
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie from here on
    assert lease.is_dead()
    process.communicate()


def test_an_enqueued_trial_is_claimed_once_and_leased(study: optuna.Study, store: Store) -> None:
    study.enqueue_trial({"x": 0.25})
    trial = study.ask()
    assert trial.suggest_float("x", 0, 1) == 0.25
    assert LEASE in study.trials[0].system_attrs
    assert not store.storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)


def test_a_trial_given_back_is_as_if_it_had_never_run(study: optuna.Study, store: Store) -> None:
    trial = study.ask()
    x = trial.suggest_float("x", 0, 1)
    trial.report(0.5, 0)
    trial.set_user_attr("status", "half done")
    assert store.give_back(trial._trial_id)
    [waiting] = study.trials
    assert waiting.state is TrialState.WAITING
    assert (waiting.intermediate_values, waiting.user_attrs) == ({}, {})
    assert waiting.datetime_start is None
    again = study.ask()
    assert again.number == 0
    assert again.suggest_float("x", 0, 1) == x
    again.report(0.75, 0)
    study.tell(again, 0.75)
    assert study.trials[0].intermediate_values == {0: 0.75}


def test_a_finished_trial_is_not_given_back(study: optuna.Study, store: Store) -> None:
    trial = study.ask()
    study.tell(trial, 1.0)
    assert not store.give_back(trial._trial_id)
    assert study.trials[0].state is TrialState.COMPLETE


def test_only_trials_of_dead_workers_are_given_back(study: optuna.Study, store: Store) -> None:
    ours, theirs, moved, reused, foreign = (study.ask() for _ in range(5))
    me = Lease.of_this_process()
    for trial, lease in (
        (theirs, dead_lease()),
        (moved, replace(me, host="another-machine")),
        (reused, replace(me, started=me.started - 1000)),
    ):
        store.storage.set_trial_system_attr(trial._trial_id, LEASE, lease.to_dict())
    store.storage.set_trial_system_attr(foreign._trial_id, LEASE, None)
    assert give_back_dead_trials(store, study) == [theirs.number, moved.number, reused.number]
    states = [t.state for t in study.trials]
    assert states[ours.number] is states[foreign.number] is TrialState.RUNNING


CLAIMER = """
import sys, optuna
from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.store.database.storage import open_for_search
with open_for_search(resolve_location("x.db")) as store:
    study = optuna.create_study(
        study_name="s", storage=store.storage, direction="maximize", load_if_exists=True
    )
    print("ready", flush=True)
    sys.stdin.readline()
    while True:
        trial = study.ask()
        if not study.trials[trial.number].system_attrs.get("fixed_params"):
            break
        print(trial.suggest_float("x", 0, 1), flush=True)
        study.tell(trial, 1.0)
"""


def test_processes_opening_one_fresh_file_run_each_enqueued_trial_once() -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", CLAIMER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    points = [i / 40 for i in range(40)]
    with open_for_search(resolve_location("x.db")) as store:
        study = optuna.load_study(study_name="s", storage=store.storage)
        for x in points:
            study.enqueue_trial({"x": x})
    seen: list[float] = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        seen += [float(line) for line in out.split()]
    assert sorted(seen) == points
