"""A database file that is removed, moved or replaced while trials run: their results are kept."""

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from optuna.trial import FrozenTrial, TrialState
from searching import Recorder
from tuning.test_lanes import Lanes, lanes
from tuning.test_outages import iteration, outlasting

from cvfp_opt.store.database.file_watch import FileGone
from cvfp_opt.store.database.location import Location, resolve_location
from cvfp_opt.store.database.storage import open_for_search
from cvfp_opt.store.record.identity import IDENTITY_KEY
from cvfp_opt.training.events import Event
from cvfp_opt.tuning import trial_reports as reporting
from cvfp_opt.tuning.lanes import search_in_lanes

UNSENT = Path("storage/unsent")


def remove() -> None:
    for path in Path().glob("x.db*"):
        path.unlink()


def move() -> None:
    Path("x.db").rename("y.db")


def replace() -> None:
    shutil.copy("before.db", "other.db")
    Path("other.db").replace("x.db")


def remove_log() -> None:
    Path("x.db-wal").unlink()


def where_it_is_now() -> Location:
    [path] = [*UNSENT.glob("*.db"), *Path().glob("y.db"), *Path().glob("x.db")][:1]
    return resolve_location(str(path))


@pytest.fixture(autouse=True)
def _each_iteration_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "REPORT_SECONDS", 0.0)


def check_whole(trials: list[FrozenTrial], count: int) -> None:
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * count
    assert len({trial.system_attrs[IDENTITY_KEY]["uuid"] for trial in trials}) == count
    for trial in trials:
        assert trial.user_attrs["audit"]
        steps = range(len(trial.user_attrs["iterations"]))
        assert sorted(trial.intermediate_values) == list(steps)


@pytest.mark.parametrize("act", [remove, move, replace, remove_log])
def test_the_trial_that_runs_ends_and_its_result_goes_where_the_rest_is(
    act: Callable[[], None],
) -> None:
    def during(number: int, event: Event) -> None:
        if number == 0 and iteration(event) is None:
            shutil.copy("x.db", "before.db")
        if number == 1 and iteration(event) == 1:
            act()

    with ExitStack() as stack:
        store = stack.enter_context(open_for_search(resolve_location("x.db")))
        search = outlasting(store, during)
        with pytest.raises(FileGone) as refused:
            search.run(3)
        with pytest.raises(FileGone):
            stack.close()
    [kept] = UNSENT.glob("*.json")
    said = str(refused.value)
    assert "while it was in use" in said
    assert said.endswith(f"; the result of trial 1, in {kept.absolute()}, is written there")
    assert isinstance(search.observer, Recorder)
    [notice] = search.observer.notices
    assert notice.endswith("; trial 1 is trained on first, and its result kept")

    location = where_it_is_now()
    assert location.option.removeprefix(" --storage ") in said or act is remove_log
    with open_for_search(location) as store:
        again = outlasting(store, lambda number, event: None)
        again.run(3)
        assert isinstance(again.observer, Recorder)
        assert again.observer.notices == ["trial 1: kept result written to the database"]
        assert again.observer.started == [2]
        check_whole(again.study.trials, 3)
    assert list(UNSENT.glob("*.json")) == []


def test_lanes_keep_the_results_of_all_trials_that_run() -> None:
    def during(number: int, event: Event) -> None:
        if number == 0 and iteration(event) == 1:
            move()

    with ExitStack() as stack:
        store = stack.enter_context(open_for_search(resolve_location("x.db")))
        search = lanes(store, num_first=2, act=during)
        with pytest.raises(FileGone):
            search_in_lanes(search, 2, 4)
        with pytest.raises(FileGone):
            stack.close()
    assert len(list(UNSENT.glob("*.json"))) == 2
    with open_for_search(resolve_location("y.db")) as store:
        again = lanes(store)
        search_in_lanes(again, 2, 4)
        assert isinstance(again.observer, Lanes)
        assert [trial.state for trial in again.study.trials] == [TrialState.COMPLETE] * 4
    assert list(UNSENT.glob("*.json")) == []


def test_a_claim_and_the_end_look_too() -> None:
    with ExitStack() as stack:
        store = stack.enter_context(open_for_search(resolve_location("x.db")))
        outlasting(store, lambda number, event: None).run(1)
        move()
        with pytest.raises(FileGone):
            outlasting(store, lambda number, event: None)
        with pytest.raises(FileGone):
            stack.close()
    assert not Path("x.db").exists()
