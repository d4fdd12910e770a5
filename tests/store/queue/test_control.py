"""Control of a study: no trial begins in one that is closed, and its total holds."""

import re
from datetime import datetime, timedelta

import optuna
import pytest
from claiming import Workers, take
from optuna.trial import TrialState
from sqlalchemy import update

from cvfp_opt.errors import DefinitionError, StudyChanged, StudyError
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.tables import TRIALS
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


def test_no_more_workers_than_it_may_have_run_its_trials(
    store: Store, ours: optuna.Study, workers: Workers
) -> None:
    control.amend(store, ours, {"total": 9, "max_workers": 1})
    first, second = workers.add(), workers.add()
    writer = take(first)
    assert second.claim(9) is NoTrial.FULL
    take(first)  # another lane of the same worker
    writer.finish(TrialState.COMPLETE, [0.5])
    control.amend(store, ours, {"max_workers": 2})
    take(second)
    assert workers.add().claim(9) is NoTrial.FULL


def test_a_dead_worker_takes_no_place(store: Store, ours: optuna.Study, workers: Workers) -> None:
    control.amend(store, ours, {"total": 9, "max_workers": 1})
    take(workers.add(pid=2**22 + 1))
    assert take(workers.add()).claimed.attempts == 1


def test_when_a_budget_is_spent_no_trial_begins(
    store: Store, ours: optuna.Study, workers: Workers
) -> None:
    worker = workers.add()
    control.amend(store, ours, {"total": 9, "max_failed": 1, "max_seconds": 3600.0})
    running = take(worker)
    take(worker).finish(TrialState.FAIL, None)
    assert worker.claim(9) is NoTrial.SPENT
    running.finish(TrialState.COMPLETE, [0.5])  # what runs goes on to its end
    control.amend(store, ours, {"max_failed": None})
    take(worker).finish(TrialState.COMPLETE, [0.5])
    control.amend(store, ours, {"until": 1.0})
    assert worker.claim(9) is NoTrial.SPENT
    with store.engine.begin() as connection:  # MariaDB keeps whole seconds
        earlier = datetime.now() - timedelta(minutes=10)
        ended = TRIALS.c.state == TrialState.COMPLETE
        connection.execute(update(TRIALS).where(ended).values(datetime_start=earlier))
    control.amend(store, ours, {"until": None, "max_seconds": 3600.0})
    take(worker).finish(TrialState.COMPLETE, [0.5])
    control.amend(store, ours, {"max_seconds": 60.0})
    assert worker.claim(9) is NoTrial.SPENT


def test_a_change_is_refused_where_somebody_was_quicker(store: Store, ours: optuna.Study) -> None:
    version = control.amend(store, ours, {"total": 9}).entry.version
    control.amend(store, ours, {"weight": 2.0}, version=version)
    for act in (
        lambda: control.amend(store, ours, {"weight": 3.0}, version=version),
        lambda: control.pause(store, ours, version=version),
        lambda: control.cancel(store, ours, version=version),
        lambda: control.resume(store, ours, version=version),
    ):
        with pytest.raises(StudyChanged, match="was changed meanwhile: version 1 was required"):
            act()
    assert entry(ours).weight == 2.0


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"weight": 0}, "weight: a number from 0.001 to 1000 is required, got 0"),
        ({"weight": float("nan")}, "weight: a number"),
        ({"priority": 1.5}, "priority: a whole number from -1000 to 1000 is required, got 1.5"),
        ({"max_workers": 0}, "max_workers: a whole number from 1"),
        ({"owner": "a\nb"}, "owner: a name of at most 64 characters in one line is required"),
        ({"tags": ["x"] * 33}, "tags: a list of at most 32 words"),
        ({"tags": [""]}, "tags: a list"),
        ({"until": -1}, "until: a time"),
        ({"state": "paused"}, "state: one of total, priority, weight"),
        ({"wieght": 1}, "wieght: one of total, priority, weight"),
    ],
)
def test_a_wish_that_does_not_fit_is_refused_and_nothing_is_written(
    changes: dict[str, object], text: str, store: Store, ours: optuna.Study
) -> None:
    with pytest.raises(DefinitionError, match=re.escape(text)):
        control.amend(store, ours, {"total": 5, **changes})
    assert entry(ours) == QueueEntry()
