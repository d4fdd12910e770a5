"""Trials that stock Optuna runs in a study of ours: nobody takes them over."""

import json
from collections.abc import Callable

import optuna
from claiming import Workers, take
from optuna.trial import TrialState
from support import Outcome

from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.queue.claims import NoTrial
from cvfp_opt.store.queue.takeover import fail_trial
from cvfp_opt.store.queue.unleased import unleased_lines
from cvfp_opt.store.record.identity import IDENTITY_KEY

Invoke = Callable[..., Outcome]


def test_what_another_program_runs_is_not_taken_over_nor_waited_for(
    workers: Workers, study: optuna.Study, store: Store
) -> None:
    asked = study.ask()
    worker = workers.add()
    take(worker, 2).finish(TrialState.COMPLETE, [0.5])
    assert worker.claim(2) is NoTrial.DONE
    assert study.trials[0].state is TrialState.RUNNING
    assert workers.notices == []
    [line] = unleased_lines(store, study)
    assert line.startswith("trial 0 runs without a lease: ")
    assert f"`cvfp-opt trial fail 0 --study-name s{store.location.option}`" in line
    study.tell(asked, 0.25)
    assert unleased_lines(store, study) == []


def test_what_another_program_took_from_the_queue_is_its_own(
    workers: Workers, study: optuna.Study, store: Store
) -> None:
    """A trial that was given back has a lease that ended long ago, and that is nobody's."""
    writer = take(workers.add())
    born = study.trials[0].system_attrs[IDENTITY_KEY]
    writer.give_back()
    asked = study.ask()
    assert asked.number == 0
    worker, other = workers.add(), workers.add()
    assert worker.release_dead() == []
    assert take(worker, 2).claimed.number == 1
    assert other.claim(2) is NoTrial.WAIT  # for trial 1
    assert worker.claim(2) is NoTrial.DONE
    assert "trial 0 runs without a lease" in unleased_lines(store, study)[0]
    study.tell(asked, 0.25)
    assert study.trials[0].system_attrs[IDENTITY_KEY] == born


def test_a_live_worker_is_no_stranger(workers: Workers, study: optuna.Study, store: Store) -> None:
    take(workers.add())
    assert unleased_lines(store, study) == []


def test_what_nobody_runs_is_ended_by_hand(
    workers: Workers, study: optuna.Study, store: Store
) -> None:
    study.ask()
    assert fail_trial(store, study, 0, "its notebook was closed")
    assert unleased_lines(store, study) == []
    assert take(workers.add(), 2).claimed.number == 1


def test_run_says_so_before_it_goes_on(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "1")
    optuna.load_study(study_name="quick", storage="sqlite:///storage/cvfp.db").ask()
    go_on = ("run", "--study-name", "quick", "--n-trials", "3", "--threads", "1", "--n-jobs", "1")
    outcome = invoke(*go_on)
    assert outcome.code == 0, outcome.err
    said = " ".join(outcome.out.split())
    assert "trial 1 runs without a lease" in said
    assert "`cvfp-opt trial fail 1 --study-name quick`" in said
    assert invoke("trial", "fail", "1", "--study-name", "quick").code == 0
    assert "without a lease" not in invoke(*go_on).out
    counts = json.loads(invoke("status", "--json").out)["counts"]
    assert (counts["complete"], counts["fail"], counts["running"]) == (2, 1, 0)
