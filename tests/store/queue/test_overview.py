"""The queue as a whole: each study's place and stage, by as many statements for any number."""

from datetime import datetime, timedelta

import optuna
import pytest
import sqlalchemy
from claiming import Workers, take
from optuna.trial import TrialState

from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.tables import TRIALS
from cvfp_opt.store.queue import control
from cvfp_opt.store.queue.overview import QueuedStudy, Stage, read_queue
from cvfp_opt.store.record.queue_entry import QUEUE, QueueEntry
from cvfp_opt.store.record.records import CONFIRMS, MIRROR_OF, StudyRecord


def make_ours(study: optuna.Study) -> None:
    definition = {"objective": {"kind": "score"}, "search": {"seed": 7}, "space": {}}
    StudyRecord(
        definition=definition,
        definition_digest="d",
        data_digest="t",
        created=1.0,
        environment={},
        uuid="a" * 32,
    ).write(study)


@pytest.fixture
def ours(study: optuna.Study) -> optuna.Study:
    make_ours(study)
    return study


def look(store: Store) -> QueuedStudy:
    [found] = read_queue(store)
    return found


def test_a_study_goes_through_its_stages(
    store: Store, ours: optuna.Study, workers: Workers
) -> None:
    assert look(store).stage is Stage.UNASKED
    control.amend(store, ours, {"total": 3})
    assert (look(store).stage, look(store).to_begin) == (Stage.WAITING, 3)
    claims = workers.add()
    writer = take(claims)
    seen = look(store)
    assert (seen.stage, seen.to_begin, seen.started, seen.finished) == (Stage.RUNNING, 2, 1, 0)
    assert seen.workers == {claims.worker.worker}
    [running] = seen.running
    assert (running.number, running.dead) == (0, False)
    writer.finish(TrialState.COMPLETE, [0.5])
    control.pause(store, ours)
    assert (look(store).stage, look(store).to_begin) == (Stage.PAUSED, 0)
    control.resume(store, ours)
    for _ in range(2):
        take(claims).finish(TrialState.FAIL, None)
    seen = look(store)
    assert (seen.stage, seen.finished, seen.counts) == (
        Stage.DONE,
        3,
        {"complete": 1, "fail": 2},
    )
    control.amend(store, ours, {"total": 9, "max_failed": 2})
    seen = look(store)
    assert (seen.stage, seen.to_begin) == (Stage.SPENT, 0)
    assert seen.spent == "2 failed trials, of a budget of 2"


def test_the_time_of_ended_trials_is_what_a_budget_counts(
    store: Store, ours: optuna.Study, workers: Workers
) -> None:
    began = datetime(2026, 3, 1, 12, 0, 0)
    for seconds in (90.5, 30.0, -5.0):  # a clock was set back during the last one
        ours.add_trial(optuna.trial.create_trial(value=0.5))
        _took(store, len(ours.trials), began, began + timedelta(seconds=seconds))
    control.amend(store, ours, {"total": 9, "max_seconds": 121.0})
    take(workers.add())  # one that runs has taken no time yet
    seen = look(store)
    assert (seen.timed, seen.seconds, seen.spent) == (3, pytest.approx(120.5, abs=0.6), "")
    assert datetime.fromisoformat(seen.first_start) == began
    assert seen.last_start > seen.first_start
    control.amend(store, ours, {"max_seconds": 120.0})
    assert look(store).spent == "0.0 h of trials, of a budget of 0.0333333 h"


def _took(store: Store, number: int, start: datetime, end: datetime) -> None:
    with store.engine.begin() as connection:
        connection.execute(
            sqlalchemy.update(TRIALS)
            .where(TRIALS.c.number == number - 1)
            .values(datetime_start=start, datetime_complete=end)
        )


def test_a_trial_of_a_dead_worker_may_be_taken_over(
    store: Store, ours: optuna.Study, workers: Workers
) -> None:
    control.amend(store, ours, {"total": 1})
    take(workers.add(pid=2**22 + 1))
    seen = look(store)
    assert (seen.abandoned, seen.to_begin, seen.workers) == (1, 1, frozenset())


def test_mirrors_confirmations_and_studies_of_others_are_not_in_it(
    store: Store, ours: optuna.Study
) -> None:
    for name, key in (("m", MIRROR_OF), ("c", CONFIRMS)):
        other = optuna.create_study(study_name=name, storage=store.storage)
        make_ours(other)
        other.set_user_attr(key, "s")
    optuna.create_study(study_name="theirs", storage=store.storage)
    assert [study.name for study in read_queue(store)] == ["s"]


def test_an_entry_that_cannot_be_read_is_an_open_one(store: Store, ours: optuna.Study) -> None:
    ours.set_user_attr(QUEUE, {"total": -1, "weight": "heavy", "priority": 2, "tags": 3})
    assert look(store).entry == QueueEntry(priority=2)


def test_the_number_of_statements_does_not_hang_on_the_number_of_studies(
    store: Store, ours: optuna.Study
) -> None:
    statements: list[str] = []
    sqlalchemy.event.listen(
        store.engine, "before_cursor_execute", lambda c, cursor, sql, *rest: statements.append(sql)
    )
    control.amend(store, ours, {"max_seconds": 60.0})
    statements.clear()
    read_queue(store)
    few = len(statements)
    for number in range(5):
        study = optuna.create_study(study_name=f"n{number}", storage=store.storage)
        make_ours(study)
        control.amend(store, study, {"max_seconds": 60.0})
    statements.clear()
    assert len(read_queue(store)) == 6
    assert len(statements) == few
