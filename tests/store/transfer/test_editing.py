"""Studies deleted and renamed: whole, and nothing else with them; each database."""

import io
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from claiming import Workers, take
from optuna.trial import TrialState, create_trial
from sqlalchemy import select

from cvfp_opt.errors import StorageError, StudyError
from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.store.database.optuna_private import TABLES
from cvfp_opt.store.database.storage import Store, open_for_editing
from cvfp_opt.store.database.tables import LEASES
from cvfp_opt.store.files.folder import FolderStore
from cvfp_opt.store.queue.leases import LeaseLost
from cvfp_opt.store.record.mirrors import SOURCE_TRIAL
from cvfp_opt.store.record.records import MIRROR_OF
from cvfp_opt.store.record.studies import study_names
from cvfp_opt.store.transfer.editing import delete_study, rename_study

DEAD = {"pid": 2**22 + 1}  # beyond what Linux counts to
# What does not depend on the kind of database.
on_a_file = pytest.mark.parametrize("location", ["sqlite"], indirect=True)
DISTRIBUTION = optuna.distributions.FloatDistribution(0.0, 1.0)


def fill(study: optuna.Study) -> None:
    """A trial with a row in every table that trials have."""
    full = create_trial(
        value=0.5,
        params={"x": 0.5},
        distributions={"x": DISTRIBUTION},
        user_attrs={"a": 1},
        system_attrs={"b": 2},
        intermediate_values={0: 0.5},
    )
    study.add_trial(full)
    study.set_user_attr("c", 3)


@pytest.fixture
def mirrored(store: Store, study: optuna.Study) -> optuna.Study:
    """Study ``s`` with its mirrors, beside another study and a mirror of that."""
    other = optuna.create_study(study_name="other", storage=store.storage)
    for source in (study, other):
        fill(source)
        mirror = optuna.create_study(
            study_name=f"{source.study_name}/pareto",
            storage=store.storage,
            directions=["maximize"] * 2,
        )
        mirror.set_user_attr(MIRROR_OF, source.study_name)
        mirror.add_trial(create_trial(values=[1.0, 2.0], user_attrs={SOURCE_TRIAL: 0}))
    return study


@pytest.fixture
def files(isolated_folder: Path) -> FolderStore:
    """A place for artifacts, empty."""
    return FolderStore(isolated_folder / "artifacts")


def present(files: FolderStore, *ids: str) -> list[str]:
    """Those of some artifacts that are there."""
    return [one for one in ids if files.path(one).exists()]


def rows(store: Store) -> dict[str, int]:
    """How many rows each table has."""
    tables = [*TABLES.values(), LEASES]
    with store.engine.connect() as connection:
        return {
            table.name: connection.execute(
                select(sqlalchemy.func.count()).select_from(table)
            ).scalar_one()
            for table in tables
        }


def names(store: Store) -> dict[str, str | None]:
    """All studies, mirrors too, with what they mirror."""
    return {s.study_name: s.user_attrs.get(MIRROR_OF) for s in store.storage.get_all_studies()}


def test_a_deleted_study_leaves_no_row_behind(
    store: Store, study: optuna.Study, workers: Workers, files: FolderStore
) -> None:
    before = rows(store)
    added = optuna.create_study(study_name="t", storage=store.storage)
    fill(added)
    workers.study = added
    take(workers.add(**DEAD))
    filled = {name for name, count in rows(store).items() if count > before[name]}
    assert {"studies", "trials", "trial_params", "trial_user_attributes", LEASES.name} <= filled
    delete_study(store, "t", files)
    assert rows(store) == before


def test_mirrors_go_with_their_study_and_others_stay(
    store: Store, mirrored: optuna.Study, files: FolderStore
) -> None:
    delete_study(store, "s", files)
    assert names(store) == {"other": None, "other/pareto": "other"}
    [trial] = optuna.load_study(study_name="other", storage=store.storage).trials
    assert (trial.params, trial.user_attrs) == ({"x": 0.5}, {"a": 1})


def test_artifacts_go_too_unless_another_study_has_them(
    store: Store, study: optuna.Study, files: FolderStore
) -> None:
    other = optuna.create_study(study_name="other", storage=store.storage)
    for owner, ids in ((study, ("a-1", "b", "c")), (other, ("b", "d"))):
        attributes = {f"artifacts:{one}": "{}" for one in ids}
        owner.add_trial(create_trial(value=1.0, system_attrs=attributes | {"artifact": "no"}))
    for one in ("a-1", "b", "d"):
        files.write(one, io.BytesIO(b"content"))
    delete_study(store, "s", files)
    assert present(files, "a-1", "b", "d") == ["b", "d"]
    delete_study(store, "other", files)
    assert present(files, "a-1", "b", "d") == []


def test_a_study_that_is_run_is_kept_unless_forced(
    store: Store, study: optuna.Study, workers: Workers, files: FolderStore
) -> None:
    worker = workers.add()
    writer = take(worker)
    with pytest.raises(StudyError, match=r"workers run it \(trial 0 by process \d+ on .*--force"):
        delete_study(store, "s", files)
    with pytest.raises(StudyError, match="stop them before you rename it"):
        rename_study(store, "s", "t")
    assert study_names(store) == ["s"]
    delete_study(store, "s", files, force=True)
    with pytest.raises(StudyError, match="somebody has deleted it"):
        worker.claim(100)
    with pytest.raises(LeaseLost):
        writer.finish(TrialState.COMPLETE, [1.0])
    assert rows(store)["trials"] == 0


@on_a_file
def test_what_a_dead_worker_left_protects_nothing(
    store: Store, study: optuna.Study, workers: Workers, files: FolderStore
) -> None:
    take(workers.add(**DEAD))
    rename_study(store, "s", "t")
    delete_study(store, "t", files)
    assert study_names(store) == []


def test_a_renamed_study_keeps_all_and_takes_its_mirrors_along(
    store: Store, mirrored: optuna.Study
) -> None:
    rename_study(store, "s", "new name")
    assert names(store) == {
        "new name": None,
        "new name/pareto": "new name",
        "other": None,
        "other/pareto": "other",
    }
    [trial] = optuna.load_study(study_name="new name", storage=store.storage).trials
    assert (trial.value, trial.params) == (0.5, {"x": 0.5})


REFUSED_NAMES = [
    ("s", "other", "there is a study 'other' already"),
    ("s", "s", "there is a study 's' already"),
    ("s", "  ", "a name is required"),
    ("s", "x/pareto", "names that end in /pareto are for mirrors"),
    ("s", "x/confirm", "names that end in /confirm are for confirmations"),
    ("s/pareto", "x", "is a mirror, .* name 's'"),
    ("sss", "x", "there is no study 'sss'"),
]


@on_a_file
def test_names_that_will_not_do(store: Store, mirrored: optuna.Study) -> None:
    before = names(store)
    for old, new, message in REFUSED_NAMES:
        with pytest.raises(StudyError, match=message):
            rename_study(store, old, new)
    assert names(store) == before


@on_a_file
def test_a_mirror_is_not_deleted_alone(
    store: Store, mirrored: optuna.Study, files: FolderStore
) -> None:
    with pytest.raises(StudyError, match="is a mirror"):
        delete_study(store, "s/pareto", files)
    assert "s/pareto" in names(store)


@on_a_file
def test_a_mirror_with_trials_of_somebodys_own_outlives_its_study(
    store: Store, mirrored: optuna.Study, files: FolderStore
) -> None:
    mirror = optuna.load_study(study_name="s/pareto", storage=store.storage)
    mirror.add_trial(create_trial(values=[3.0, 4.0]))
    delete_study(store, "s", files)
    assert names(store) == {"s/pareto": None, "other": None, "other/pareto": "other"}
    assert len(mirror.get_trials()) == 2


@on_a_file
def test_artifacts_stay_where_nobody_says_where_they_are(
    store: Store, study: optuna.Study, files: FolderStore
) -> None:
    study.add_trial(create_trial(value=1.0, system_attrs={"artifacts:b": "{}"}))
    files.write("b", io.BytesIO(b"content"))
    delete_study(store, "s", None)
    assert names(store) == {}
    assert present(files, "b") == ["b"]


def test_a_rename_that_breaks_off_changes_nothing(
    store: Store, mirrored: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = names(store)

    def broken(text: object) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr("json.dumps", broken)
    with pytest.raises(ZeroDivisionError):
        rename_study(store, "s", "t")
    assert names(store) == before


def test_a_database_that_is_not_there_is_not_created() -> None:
    missing = resolve_location("missing.db")
    with (
        pytest.raises(StorageError, match="there is no study database"),
        open_for_editing(missing),
    ):
        pass
    assert not missing.file.exists()
