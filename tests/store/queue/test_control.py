"""Control of a study: no trial begins in one that is closed, and its total holds."""

import optuna
import pytest
from claiming import Workers, take
from optuna.trial import TrialState

from cvfp_opt.errors import StudyError
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.queue import control
from cvfp_opt.store.queue.claims import NoTrial
from cvfp_opt.store.queue.leases import LeaseLost
from cvfp_opt.store.record.queue_entry import QUEUE, QueueEntry, QueueState
from cvfp_opt.store.record.records import StudyRecord


@pytest.fixture
def ours(study: optuna.Study) -> optuna.Study:
    """The study with a record, as this program's have one."""
    definition = {"objective": {"kind": "score"}, "search": {"seed": 7}, "space": {}}
    StudyRecord(
        definition=definition,
        definition_digest="d",
        data_digest="t",
        created=1.0,
        environment={},
        uuid="a" * 32,
    ).write(study)
    return study


def entry(study: optuna.Study) -> QueueEntry:
    return QueueEntry.of(study.user_attrs)


def test_in_a_paused_study_no_trial_begins(
    store: Store, ours: optuna.Study, workers: Workers
) -> None:
    worker = workers.add()
    running = take(worker)
    done = control.pause(store, ours)
    assert (done.entry.state, done.running, done.given_back) == (QueueState.PAUSED, 1, ())
    assert worker.claim(9) is NoTrial.PAUSED
    with pytest.raises(StudyError, match="is paused: no trial begins in it; type"):
        control.require_open(ours, "")
    running.finish(TrialState.COMPLETE, [0.5])  # it runs on to its end
    control.resume(store, ours)
    control.require_open(ours, "")
    assert take(worker).claimed.number == 1


def test_pausing_now_gives_running_trials_back(
    store: Store, ours: optuna.Study, workers: Workers
) -> None:
    worker = workers.add()
    running, other = take(worker), take(workers.add())
    assert control.pause(store, ours, now=True).given_back == (0, 1)
    assert [trial.state for trial in ours.trials] == [TrialState.WAITING] * 2
    for writer in (running, other):
        with pytest.raises(LeaseLost):
            writer.finish(TrialState.COMPLETE, [0.5])
        writer.drop()
    control.resume(store, ours)
    assert take(worker).claimed.number == 0
    assert take(worker).claimed.attempts == 0  # nobody has died with it


def test_a_trial_that_another_program_runs_is_not_given_back(
    store: Store, ours: optuna.Study
) -> None:
    ours.ask()
    assert control.cancel(store, ours).given_back == ()
    assert [trial.state for trial in ours.trials] == [TrialState.RUNNING]


def test_a_cancelled_study_is_opened_by_resume_alone(
    store: Store, ours: optuna.Study, workers: Workers
) -> None:
    take(workers.add())
    assert control.cancel(store, ours).given_back == (0,)
    assert workers.add().claim(9) is NoTrial.CANCELLED
    with pytest.raises(StudyError, match="is cancelled"):
        control.pause(store, ours)
    assert control.cancel(store, ours).entry.version == 1  # as it is
    assert control.resume(store, ours).entry == QueueEntry(version=2)


def test_the_total_that_is_stored_holds_for_all(
    store: Store, ours: optuna.Study, workers: Workers
) -> None:
    control.set_total(store, ours, 5)
    worker = workers.add()
    take(worker)
    assert control.amend(store, ours, {"total": 2}).entry.total == 2
    take(worker)
    assert worker.claim(5) is NoTrial.DONE
    assert worker.claim(1) is NoTrial.DONE
    with pytest.raises(StudyError, match=r"at least 2 is required, .* \(2 run now\); got 1"):
        control.amend(store, ours, {"total": 1})
    control.set_total(store, ours, 2)  # has been reached: `run` typed again
    assert entry(ours) == QueueEntry(total=2, version=2)


def test_of_a_study_that_is_done_there_is_nothing_to_pause(
    store: Store, ours: optuna.Study, workers: Workers
) -> None:
    control.set_total(store, ours, 1)
    take(workers.add()).finish(TrialState.COMPLETE, [0.5])
    for act in (control.pause, control.cancel):
        with pytest.raises(StudyError, match="is done, 1 of 1 trials: there is nothing to "):
            act(store, ours)
    assert entry(ours).state is QueueState.OPEN


def test_another_programs_study_is_not_controlled(store: Store, study: optuna.Study) -> None:
    study.add_trial(optuna.trial.create_trial(value=0.5))
    with pytest.raises(StudyError, match="was made by another program"):
        control.pause(store, study)
    assert QUEUE not in study.user_attrs


@pytest.mark.parametrize("value", [None, 3, [], {"state": 3, "total": -1}, {"total": "x"}])
def test_what_nobody_can_read_is_an_open_study(
    value: object, store: Store, ours: optuna.Study, workers: Workers
) -> None:
    ours.set_user_attr(QUEUE, value)
    assert entry(ours) == QueueEntry()
    take(workers.add())
    assert control.pause(store, ours).entry.version == 1
