"""The board: verdicts as the reports have them, and what died, of all studies at once."""

from collections.abc import Iterator
from dataclasses import asdict, replace

import optuna
import pytest
import sqlalchemy
from claiming import Workers, take
from doctoring import RECORD
from optuna.trial import TrialState

from cvfp_opt.report.board import Board, Standing, read_board
from cvfp_opt.report.confirmation import ConfirmationVerdict, confirmation_of
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import Store, open_for_reading, open_for_search
from cvfp_opt.store.queue import control
from cvfp_opt.store.queue.confirmation_runs import add_runs, enter_confirmation
from cvfp_opt.store.queue.workers import StayingWorker, join
from cvfp_opt.store.record.confirmation import DEFAULT, ConfirmationPoint
from cvfp_opt.store.record.identity import IDENTITY_KEY
from cvfp_opt.store.record.records import StudyRecord
from cvfp_opt.store.record.studies import create_study
from cvfp_opt.store.record.summary import Summary


@pytest.fixture
def store(location: Location) -> Iterator[Store]:
    """An open database of each kind."""
    with open_for_search(location) as opened:
        yield opened


def searched(store: Store, name: str, *values: float, uuid: str = "") -> optuna.Study:
    """A study with so many complete trials, which workers have run."""
    study = create_study(store, name, replace(RECORD, uuid=uuid or RECORD.uuid))
    workers = Workers(store, study)
    for value in values:
        take(workers.add()).finish(TrialState.COMPLETE, [value])
    return study


def confirm(store: Store, study: optuna.Study, trial: int, *scores: float | None) -> None:
    """Run a trial and the default point, which gets 0.5, on fresh seeds; None diverges."""
    record = StudyRecord.of(study)
    assert record is not None
    found = study.get_trials(deepcopy=False)[trial]
    key = found.system_attrs[IDENTITY_KEY]["uuid"]
    points = [
        ConfirmationPoint(key=key, params={}, trial=trial, reported=found.values[0]),
        ConfirmationPoint(key=DEFAULT, params={}),
    ]
    runs = enter_confirmation(
        store, study.study_name, record.identity, replace(record, uuid="c" * 32)
    )
    add_runs(store, runs, points, len(scores), seed=7)
    workers = Workers(store, runs)
    for seed, score in enumerate(scores):
        for value in (score, 0.5 + 0.001 * seed):
            writer = take(workers.add())
            writer.pending.user_attrs["status"] = "finished" if value else "diverged"
            if value is None:
                writer.finish(TrialState.FAIL, None)
            else:
                writer.finish(TrialState.COMPLETE, [value])


def seen(store: Store, name: str) -> Standing:
    [found] = [one for one in read_board(store).studies if one.study.name == name]
    return found


def expected(study: optuna.Study) -> ConfirmationVerdict | None:
    found = confirmation_of(Summary.of(study, ""))
    return found.winner.verdict if found and found.winner else None


@pytest.mark.parametrize(
    ("scores", "verdict"),
    [
        ((0.9, 0.91, 0.92), ConfirmationVerdict.CONFIRMED),
        ((0.9, None, 0.92), ConfirmationVerdict.LESS),
        ((0.1, 0.11, 0.12), ConfirmationVerdict.WORSE),
        ((0.9,), ConfirmationVerdict.OPEN),
    ],
)
def test_the_verdict_is_the_one_of_the_report(
    store: Store, scores: tuple[float | None, ...], verdict: ConfirmationVerdict
) -> None:
    study = searched(store, "s", 0.4, 0.91, 0.6)
    searched(store, "other", 0.7, uuid="f" * 32)
    confirm(store, study, 1, *scores)
    assert seen(store, "s").verdict is expected(study) is verdict
    assert seen(store, "s").is_confirmed is (verdict is ConfirmationVerdict.CONFIRMED)
    assert seen(store, "other").verdict is None


def test_a_new_best_has_no_verdict_yet(store: Store) -> None:
    study = searched(store, "s", 0.9)
    confirm(store, study, 0, 0.9, 0.91, 0.92)
    assert seen(store, "s").is_confirmed
    take(Workers(store, study).add()).finish(TrialState.COMPLETE, [0.95])
    assert seen(store, "s").verdict is expected(study) is None


def test_the_confirmation_of_another_study_of_that_name_is_none(store: Store) -> None:
    study = searched(store, "s", 0.9)
    confirm(store, study, 0, 0.9, 0.91, 0.92)
    StudyRecord(**asdict(replace(RECORD, uuid="e" * 32))).write(study)
    assert seen(store, "s").verdict is None


def test_takeovers_and_lost_trials_are_counted(store: Store) -> None:
    study = searched(store, "s")
    workers = Workers(store, study)
    for _ in range(5):  # the trial is given up when the fourth worker has died
        take(workers.add(pid=2**22 + 1))
    found = seen(store, "s")
    assert (found.lost, found.takeovers) == (1, 3)
    assert (found.study.counts["fail"], found.best) == (1, None)


def test_a_failed_trial_is_not_a_lost_one(store: Store) -> None:
    study = searched(store, "s")
    writer = take(Workers(store, study).add())
    writer.pending.user_attrs["status"] = "error"
    writer.finish(TrialState.FAIL, None)
    assert (seen(store, "s").lost, seen(store, "s").takeovers) == (0, 0)


def test_a_database_of_stock_optuna_has_an_empty_board(empty_location: Location) -> None:
    storage = optuna.storages.RDBStorage(empty_location.url)
    study = optuna.create_study(study_name="theirs", storage=storage)
    study.ask()
    storage.engine.dispose()
    with open_for_reading(empty_location) as store:
        found = read_board(store)
    assert (found.studies, found.workers) == ([], [])


def test_many_studies_take_no_more_statements(store: Store) -> None:
    statements: list[str] = []
    sqlalchemy.event.listen(
        store.engine, "before_cursor_execute", lambda c, cursor, sql, *rest: statements.append(sql)
    )

    def read() -> tuple[int, Board]:
        statements.clear()
        board = read_board(store)
        return len(statements), board

    confirm(store, searched(store, "s", 0.9), 0, 0.9, 0.91)
    few, _ = read()
    for number in range(3):
        study = searched(store, f"s{number}", 0.9, uuid=f"{number}" * 32)
        control.amend(store, study, {"total": 5, "max_failed": 2})
        confirm(store, study, 0, 0.9, 0.91)
    join(store, StayingWorker(**vars(Workers(store, study).add().worker)))
    many, board = read()
    assert many == few
    assert (len(board.studies), len(board.workers)) == (4, 1)
    assert all(one.verdict is not None for one in board.studies)
