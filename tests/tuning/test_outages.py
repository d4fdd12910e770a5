"""A database that goes away while trials run: they go on, and nothing that came out is lost."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from optuna.trial import TrialState
from searching import Recorder, make_search

from cvfp_opt.errors import StorageError
from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.store.database.retry import Patience, passes
from cvfp_opt.store.database.storage import Store, open_for_search
from cvfp_opt.store.queue.takeover import fail_trial
from cvfp_opt.training.events import Event, IterationFinished, Phase, Progress
from cvfp_opt.tuning import trial_reports as reporting
from cvfp_opt.tuning.runner import Search
from cvfp_opt.tuning.stopping import SearchStopped

ITERATIONS = 4


class Outage:
    """Refuses every statement while ``away``."""

    def __init__(self, engine: sqlalchemy.Engine) -> None:
        self.away = False
        self.error = "database is locked"
        self.refused = 0
        sqlalchemy.event.listen(engine, "before_cursor_execute", self._refuse)

    def _refuse(self, *more: object) -> None:
        if self.away:
            self.refused += 1
            raise sqlite3.OperationalError(self.error)


@pytest.fixture
def store() -> Iterator[Store]:
    with open_for_search(resolve_location("x.db")) as opened:
        yield opened


@pytest.fixture
def outage(store: Store) -> Outage:
    return Outage(store.engine)


class NeverStop:
    def check(self) -> None:
        pass


def outlasting(store: Store, act: Any, patience: float = 0.3) -> Search:
    settings = (f"training.num_iterations={ITERATIONS}", "training.min_converged_ratio=1.0")
    observer = Recorder(act)
    return make_search(
        store,
        *settings,
        observer=observer,
        stop=NeverStop(),
        patience=patience,
    )


def iteration(event: Event) -> int | None:
    return event.metrics.iteration if isinstance(event, IterationFinished) else None


def test_a_trial_is_trained_on_and_reported_when_the_database_is_back(
    store: Store, outage: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "REPORT_SECONDS", 0.0)  # each iteration for itself

    def act(number: int, event: Event) -> None:
        if iteration(event) is not None:
            outage.away = iteration(event) in (0, 1)

    search = outlasting(store, act)
    search.run(1)
    [trial] = search.study.trials
    assert trial.state is TrialState.COMPLETE
    assert sorted(trial.intermediate_values) == list(range(len(trial.user_attrs["iterations"])))
    assert outage.refused >= 2
    assert isinstance(search.observer, Recorder)
    [notice] = search.observer.notices
    assert notice.startswith("the database does not answer; trial 0 is trained on")


def go_away_for_good(outage: Outage) -> Any:
    def act(number: int, event: Event) -> None:
        outage.away = outage.away or iteration(event) == 1

    return act


def test_a_result_that_cannot_be_told_is_kept_and_told_by_the_next_run(
    store: Store, outage: Outage
) -> None:
    search = outlasting(store, go_away_for_good(outage))
    with pytest.raises(StorageError, match=r"The result of trial 0 is in .*unsent") as refused:
        search.run(2)
    [path] = Path("storage/unsent").iterdir()
    assert str(path.absolute()) in str(refused.value)
    outage.away = False
    assert search.study.trials[0].state is TrialState.RUNNING

    again = outlasting(store, lambda number, event: None)
    again.run(2)
    assert isinstance(again.observer, Recorder)
    assert again.observer.notices == ["trial 0: kept result written to the database"]
    assert [t.state for t in again.study.trials] == [TrialState.COMPLETE] * 2
    told = again.study.trials[0].user_attrs
    assert sorted(again.study.trials[0].intermediate_values) == list(
        range(len(told["iterations"]))
    )
    assert told["audit"]
    assert again.observer.started == [1]
    assert list(Path("storage/unsent").iterdir()) == []


def test_a_result_is_kept_whatever_the_database_refuses_it_for(
    store: Store, outage: Outage
) -> None:
    outage.error = "no such table: trials"

    def act(number: int, event: Event) -> None:  # the audit is what comes last
        outage.away = outage.away or (isinstance(event, Progress) and event.phase is Phase.AUDIT)

    search = outlasting(store, act)
    with pytest.raises(StorageError, match=r"no such table.*The result of trial 0 is in .*unsent"):
        search.run(1)
    outage.away = False
    again = outlasting(store, lambda number, event: None)
    again.run(1)
    assert isinstance(again.observer, Recorder)
    assert again.observer.notices == ["trial 0: kept result written to the database"]


def test_a_kept_result_of_a_trial_that_another_has_taken_is_left_alone_and_named(
    store: Store, outage: Outage
) -> None:
    search = outlasting(store, go_away_for_good(outage))
    with pytest.raises(StorageError):
        search.run(1)
    outage.away = False
    assert fail_trial(store, search.study, 0, "looked lost")
    again = outlasting(store, lambda number, event: None)
    again.run(2)
    assert isinstance(again.observer, Recorder)
    [path] = Path("storage/unsent").iterdir()
    assert again.observer.notices == [
        "trial 0: a kept result was not written: the trial has ended otherwise meanwhile; if "
        f"nobody misses it, type `rm {path.absolute()}`"
    ]
    assert again.study.trials[0].state is TrialState.FAIL


def test_a_file_that_is_no_result_is_named_and_left_alone(store: Store) -> None:
    folder = Path("storage/unsent")
    folder.mkdir(parents=True)
    (folder / "x.json").write_text('{"format": 1}')
    search = outlasting(store, lambda number, event: None)
    search.run(1)
    assert isinstance(search.observer, Recorder)
    assert "x.json: not an unsent result, left alone" in search.observer.notices[0]
    assert (folder / "x.json").exists()


def test_patience_ends_and_says_what_it_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    locked = sqlalchemy.exc.OperationalError(
        "", {}, sqlite3.OperationalError("database is locked")
    )
    now, back = 0.0, 20.0
    monkeypatch.setattr("time.monotonic", lambda: now)

    def pause(seconds: float) -> None:
        nonlocal now
        now += seconds

    def work() -> str:
        if now < back:
            raise locked
        return "done"

    patience = Patience(seconds=60, notify=said.append, pause=pause)
    assert patience(work) == "done"
    assert said[0] == "the database does not answer (database is locked); waiting for up to 60 s"
    assert said[1].startswith("the database is back after ")
    assert len(said) == 2
    back = 10_000.0
    with pytest.raises(sqlalchemy.exc.OperationalError):
        patience(work)
    assert 80.0 < now < 120.0


def test_a_stop_ends_the_waiting() -> None:
    def pause(seconds: float) -> None:
        raise SearchStopped(2)

    def work() -> None:
        raise sqlalchemy.exc.OperationalError("", {}, sqlite3.OperationalError("locked"))

    with pytest.raises(SearchStopped):
        Patience(seconds=60, pause=pause)(work)


@pytest.mark.parametrize(
    ("text", "waits"),
    [
        ("database is locked", True),
        ("database or disk is full", True),
        ("no such table: trials", False),
        ("attempt to write a readonly database", False),
    ],
)
def test_what_is_waited_for(text: str, waits: bool) -> None:
    error = sqlalchemy.exc.OperationalError("", {}, sqlite3.OperationalError(text))
    assert passes(error) is waits
    assert not passes(ValueError("database is locked"))
