"""Our storage is Optuna's, on every kind of database; its own test suite says so."""

import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from databases import SERVERS, fresh_database
from optuna.storages import BaseStorage, RDBStorage
from optuna.testing.pytest_storages import StorageTestCase
from optuna.trial import TrialState, create_trial
from sqlalchemy.exc import OperationalError

from cvfp_opt.errors import StorageError
from cvfp_opt.report.dashboard.legible_storage import LegibleStorage
from cvfp_opt.store.database import sqlite
from cvfp_opt.store.database.location import Location, resolve_location
from cvfp_opt.store.database.optuna_private import study_id_of
from cvfp_opt.store.database.storage import (
    CurrentStorage,
    Store,
    open_for_editing,
    open_for_reading,
    open_for_search,
)


@pytest.fixture
def store(location: Location) -> Iterator[Store]:
    with open_for_search(location) as opened:
        yield opened


# Optuna's tables keep whole seconds there, and its suite compares times.
WHOLE_SECONDS = {
    "test_create_new_trial[mysql]",
    "test_create_new_trial_with_template_trial[mysql-start_time0-complete_time0]",
    "test_get_trial[mysql]",
    "test_get_all_trials[mysql]",
}


@pytest.fixture(autouse=True)
def whole_seconds(request: pytest.FixtureRequest) -> None:
    if request.node.name in WHOLE_SECONDS:
        request.applymarker(pytest.mark.xfail(reason="MariaDB: times in whole seconds"))


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
# an unpickled storage is never closed: it goes here, and not in whatever test comes later
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
class TestOptunaSays(StorageTestCase):
    """Everything that Optuna asks of a storage."""

    @pytest.fixture(
        params=["sqlite", *(pytest.param(kind, marks=pytest.mark.processes) for kind in SERVERS)]
    )
    def location(self, request: pytest.FixtureRequest) -> Iterator[Location]:
        with fresh_database(request.param) as found:
            yield found

    @pytest.fixture
    def storage(self, store: Store) -> BaseStorage:
        return store.storage

    @pytest.fixture(autouse=True)
    def collect(self, request: pytest.FixtureRequest) -> Iterator[None]:
        yield
        if "pickle" in request.node.name:
            gc.collect()


def test_a_storage_to_look_at_has_what_optunas_constructor_gives_it() -> None:
    url = "sqlite:///:memory:"
    ours, optunas = CurrentStorage(url, {}), RDBStorage(url)
    assert vars(ours).keys() == vars(optunas).keys() - {"_version_manager"}
    for storage in (ours, optunas):
        storage.engine.dispose()


def test_an_enqueued_trial_is_claimed_once(store: Store) -> None:
    study = optuna.create_study(storage=store.storage)
    study.enqueue_trial({"x": 0.25})
    trial = study.ask()
    assert trial.suggest_float("x", 0, 1) == 0.25
    assert not store.storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)


CLAIMER = """
import sys, optuna
from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.store.database.storage import open_for_search
with open_for_search(resolve_location(sys.argv[1])) as store:
    study = optuna.load_study(study_name="s", storage=store.storage)
    print("ready", flush=True)
    sys.stdin.readline()
    while True:
        trial = study.ask()
        if not study.trials[trial.number].system_attrs.get("fixed_params"):
            break
        print(trial.suggest_float("x", 0, 1), flush=True)
        study.tell(trial, 1.0)
"""


@pytest.mark.processes
def test_programs_that_use_optuna_alone_run_each_enqueued_trial_once(
    store: Store, location: Location
) -> None:
    study = optuna.create_study(study_name="s", storage=store.storage, direction="maximize")
    points = [i / 24 for i in range(24)]
    for x in points:
        study.enqueue_trial({"x": x})
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", CLAIMER, location.url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
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


def test_one_who_reads_creates_nothing(store: Store, location: Location) -> None:
    optuna.create_study(study_name="s", storage=store.storage)
    with open_for_reading(location) as reader:
        assert [s.study_name for s in reader.storage.get_all_studies()] == ["s"]


def test_a_worker_makes_no_database_in_the_place_of_one_that_was_moved() -> None:
    location = resolve_location("x.db")
    with open_for_search(location):
        pass
    Path("x.db").rename("y.db")
    with (
        pytest.raises(StorageError, match="there is no study database"),
        open_for_editing(location),
    ):
        pass
    engine = sqlalchemy.create_engine(sqlite.writing_url(location))
    with pytest.raises(OperationalError, match="unable to open"):  # one who looked a moment ago
        engine.connect()
    assert not Path("x.db").exists()


def test_a_study_that_has_the_number_of_a_deleted_one_has_its_own_trials(
    location: Location,
) -> None:
    with open_for_search(location) as store, open_for_search(location) as other:
        for name, value in (("a", 1.0), ("a", 2.0), ("b", 3.0)):
            study = optuna.create_study(study_name=name, storage=other.storage)
            study.add_trial(create_trial(value=value))
            stays_open = optuna.load_study(study_name=name, storage=store.storage)
            assert [trial.value for trial in stays_open.trials] == [value]
            optuna.delete_study(study_name=name, storage=other.storage)


def test_so_has_one_that_is_opened_before_its_first_trial_as_the_deleted_one_was(
    location: Location,
) -> None:
    with open_for_search(location) as store, open_for_search(location) as other:
        for value in (1.0, 2.0):
            study = optuna.create_study(study_name="a", storage=other.storage)
            stays_open = optuna.load_study(study_name="a", storage=store.storage)
            assert stays_open.trials == []
            study.add_trial(create_trial(value=value))
            assert [trial.value for trial in stays_open.trials] == [value]
            optuna.delete_study(study_name="a", storage=other.storage)


def test_the_dashboard_asks_by_number_and_sees_the_later_study(location: Location) -> None:
    with open_for_search(location) as store, open_for_search(location) as other:
        shown = LegibleStorage(store)
        for value in (1.0, 2.0):
            study = optuna.create_study(study_name="a", storage=other.storage)
            study.add_trial(create_trial(value=value))
            found = shown.get_all_trials(study_id_of(study))
            assert [trial.value for trial in found] == [value]
            optuna.delete_study(study_name="a", storage=other.storage)
