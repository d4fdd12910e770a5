"""Faults in what a database holds are told from faults in our own code."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from filelock import FileLock

from cvfp_opt.errors import StorageError
from cvfp_opt.store.database.damage import damage, parsed
from cvfp_opt.store.database.location import Location, resolve_location
from cvfp_opt.store.database.storage import Store, open_for_reading, open_for_search
from cvfp_opt.store.doctor.examination import Patient, examine
from cvfp_opt.store.record.studies import summarize


@pytest.fixture
def file(isolated_folder: Path) -> Location:
    """A study with a complete trial."""
    found = resolve_location("x.db")
    with open_for_search(found) as store:
        study = optuna.create_study(study_name="s", storage=store.storage)
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    return found


def change(statement: str) -> None:
    with closing(sqlite3.connect("x.db")) as connection, connection:
        connection.execute(statement)


def read_all(store: Store) -> None:
    summarize(store)  # states and values
    optuna.load_study(study_name="s", storage=store.storage).get_trials()


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE trials SET state = 'UOMPLETE'", "'UOMPLETE'"),
        ("UPDATE trials SET number = 'x'", "its number is 'x'"),
        ("UPDATE trials SET datetime_start = 'soon'", "soon"),
        ("UPDATE trial_values SET value = 'x'", "the value of trial of id 1 is 'x'"),
        ("UPDATE trial_values SET objective = 3", "trial of id 1"),
        ("DELETE FROM trial_values", "trial of id 1 is complete and has no value"),
        ("UPDATE trial_params SET distribution_json = '{'", "parameter 'x'"),
        ("UPDATE trial_params SET param_value = 'x'", "trial of id 1"),
        ("UPDATE study_directions SET direction = 'UP'", "study s has the direction 'UP'"),
        ("DELETE FROM study_directions", "study s has no objective"),
        ("UPDATE studies SET study_name = x'ff'", "study 1 has the name"),
        ("DROP TABLE trial_params", "no such table"),
        ("ALTER TABLE trials RENAME COLUMN state TO zz", "no such column"),
    ],
)
def test_values_that_no_column_holds_are_damage(statement: str, says: str, file: Location) -> None:
    change(statement)
    with (
        pytest.raises(StorageError, match=r"x\.db: damaged: .*`cvfp-opt study doctor") as refused,
        open_for_reading(file) as store,
    ):
        read_all(store)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_schema_that_is_no_text_is_damage(file: Location) -> None:
    content = file.file.read_bytes()
    assert b"CREATE TABLE trial_params" in content
    file.file.write_bytes(
        content.replace(b"CREATE TABLE trial_params", b"CREATE TABLE tri\xc3l_params")
    )
    with pytest.raises(StorageError, match="damaged"), open_for_reading(file) as store:
        summarize(store)
    assert examine(Patient(location=file)).faults


def test_a_bug_of_ours_stays_one(file: Location) -> None:
    with pytest.raises(KeyError, match="ours"), open_for_reading(file):
        raise KeyError("ours")
    with pytest.raises(ValueError, match="invalid literal"), open_for_reading(file):
        int("x")
    assert damage(ValueError("never raised")) == ""


def test_an_attribute_that_is_no_json_stops_nobody(file: Location) -> None:
    deep = "[" * 1500 + "]" * 1500
    for text in ("{", deep):
        change(f"INSERT OR REPLACE INTO study_user_attributes VALUES (7, 1, 'theirs', '{text}')")
        change(f"INSERT OR REPLACE INTO trial_user_attributes VALUES (7, 1, 'theirs', '{text}')")
        with open_for_reading(file) as store:
            [row] = summarize(store)
            study = optuna.load_study(study_name="s", storage=store.storage)
            assert study.user_attrs == study.trials[0].user_attrs == {"theirs": None}
        assert row.num_trials == {"complete": 1}


def test_half_a_surrogate_pair_becomes_a_question_mark() -> None:
    assert parsed('["\\ud800", "\\ud83d\\ude00", "\\udfff"]') == ["?", "😀", "?"]
    assert parsed(json.dumps({"\ud800": 1})) == {"?": 1}
    assert parsed("9" * 5000) is parsed("[" * 1500) is parsed(None) is None


def test_a_lock_that_the_system_does_not_give(
    file: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As libfaketime makes it, which answers for the system's clock."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(FileLock, "acquire", refuse)
    with (
        pytest.raises(StorageError, match=r"x\.db\.lock: the lock cannot be taken: Invalid"),
        open_for_search(file),
    ):
        pass
