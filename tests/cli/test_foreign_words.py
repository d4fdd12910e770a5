"""Attributes of other programs under the names that we read are left out, and stop nothing."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest
import schemas
from damaging import KEYS
from optuna_dashboard import get_note
from support import REPOSITORY, Outcome

pytestmark = pytest.mark.usefixtures("figures")
Invoke = Callable[..., Outcome]

DATABASE = Path("storage") / "cvfp.db"
RUN = ("run", "--study-name", "quick", "--n-jobs", "1", "--threads", "1", "--n-trials", "+1")
TEXTS = {
    "null": "null",
    "a list": "[1, 2]",
    "a word": '"x"',
    "a table": '{"body": ["x"], "uuid": 5, "keys": 1, "low": {}}',
    "NaN": "NaN",
    "400 digits": "9" * 400,
    "half a pair": '"\\ud800"',
    "1500 deep": "[" * 1500 + "]" * 1500,
}
# What makes a study another one, or another program's.
_TELLING = ("cvfp_opt:study", "cvfp_opt:mirror_of", "cvfp_opt:confirms")


def put(table: str, owner: int, key: str, text: str) -> None:
    """Write an attribute as any program could."""
    column = f"{table.partition('_')[0]}_id"
    with closing(sqlite3.connect(DATABASE)) as connection, connection:
        connection.execute(
            f"DELETE FROM {table} WHERE {column} = ? AND key = ?",
            (owner, key),
        )
        connection.execute(
            f"INSERT INTO {table} ({column}, key, value_json) VALUES (?, ?, ?)",
            (owner, key, text),
        )


@pytest.fixture
def filled(isolated_folder: Path) -> None:
    """A study that ran elsewhere."""
    DATABASE.parent.mkdir()
    shutil.copy(REPOSITORY / "tests" / "fixtures" / "format-2" / "study.db", DATABASE)


OFTEN = ("a list", "a table", "400 digits", "1500 deep")


@pytest.mark.parametrize(
    "what", [one if one in OFTEN else pytest.param(one, marks=pytest.mark.slow) for one in TEXTS]
)
@pytest.mark.usefixtures("filled")
def test_none_of_them_stops_anybody(
    what: str, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schemas, "CLOSED", False)  # there are keys within our records
    before = optuna.load_study(study_name="quick", storage=f"sqlite:///{DATABASE}").trials
    for table, keys in KEYS.items():
        for key in keys:
            if key not in (*_TELLING, "artifacts:../x"):
                put(table, 1, key, TEXTS[what])
    for words in (
        RUN,
        ("status", "--study-name", "quick"),
        ("best", "--study-name", "quick"),
        ("trial", "show", "0", "--study-name", "quick", "--json"),
        ("report", "quick", "-o", "r.html"),
        ("study", "export", "quick", "-o", "e.zip"),
        ("study", "copy", "quick", "--to", "copy.db"),
    ):
        outcome = invoke(*words)
        assert outcome.code == 0, (words, outcome.err)
        if words[:2] == ("study", "export"):
            assert "left out" in outcome.out
    assert invoke("study", "import", "e.zip", "--storage", "other.db").code == 0
    told = invoke("study", "doctor")
    assert told.code in (0, 1)
    assert "trial 0: attribute" in told.out
    assert "audit" in told.out
    copied = json.loads(invoke("status", "--storage", "copy.db", "--json").out)
    assert sum(copied["counts"].values()) == len(before)


@pytest.mark.parametrize("what", ["null", "a table", "1500 deep"])
@pytest.mark.usefixtures("filled")
def test_a_record_that_is_none_is_told(what: str, invoke: Invoke) -> None:
    put("study_user_attributes", 1, "cvfp_opt:study", TEXTS[what])
    for words in (("status",), ("report", "-o", "r.html"), ("list",)):
        assert invoke(*words).code == 0, words
    for words in (RUN, ("study", "export", "quick", "-o", "e.zip")):
        outcome = invoke(*words)
        assert outcome.code == 1, words
        assert "type `cvfp-opt study doctor`" in outcome.err
    assert not Path("e.zip").exists()
    assert "study quick: attribute cvfp_opt:study" in invoke("study", "doctor").out


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("version", ["x", [1]])
def test_a_note_that_is_no_text_is_written_anew(version: Any, invoke: Invoke) -> None:
    put("study_system_attributes", 1, "dashboard:note_str:0", '["x", "y"]')
    put("study_system_attributes", 1, "dashboard:note_ver", json.dumps(version))
    assert invoke(*RUN).code == 0
    study = optuna.load_study(study_name="quick", storage=f"sqlite:///{DATABASE}")
    assert get_note(study).startswith("# quick")


@pytest.mark.usefixtures("filled")
def test_one_trial_is_the_best_everywhere(invoke: Invoke) -> None:
    """Another program added an infinite value, and what is none."""
    study = optuna.load_study(study_name="quick", storage=f"sqlite:///{DATABASE}")
    first, number = study.trials[0], len(study.trials) + 1
    for value in (float("-inf"), float("inf"), 0.25):
        study.add_trial(
            optuna.trial.create_trial(
                value=value, params=first.params, distributions=first.distributions
            )
        )
    with closing(sqlite3.connect(DATABASE)) as connection, connection:
        # as SQLite keeps NaN
        connection.execute("UPDATE trial_values SET value = NULL WHERE value = 0.25")
    best = json.loads(invoke("best", "--json").out)
    assert (best["number"], best["value"]) == (number, "Infinity")
    [row] = json.loads(invoke("list", "--json").out)
    assert row["best_value"] == "Infinity"
    status = invoke("status").out
    assert f"best: trial {number} with score inf" in status
    assert next(line for line in status.splitlines() if "best so far" in line).endswith("to inf")
    assert f"Trial {number} scores inf" in " ".join(status.split())
    assert json.loads(invoke("status", "--json").out)["best"][0]["number"] == number
    assert f"trial {number}" in invoke("compare", "quick", "quick").out
    history = invoke("plot", "quick", "--kind", "history").out
    assert f"The best score, inf, came with trial {number}" in " ".join(history.split())
    for words in (("report", "-o", "r.html"), ("trial", "show", str(number + 1)), RUN):
        outcome = invoke(*words)
        assert outcome.code == 0, outcome.err
    assert json.loads(invoke("best", "--json").out)["number"] == number


@pytest.mark.usefixtures("filled")
def test_an_audit_without_residuals_has_no_thresholds(invoke: Invoke) -> None:
    """Another program took a part of it away."""
    shown = json.loads(invoke("trial", "show", "0", "--json").out)["audit"]
    del shown["residual_quantiles"]
    put("trial_user_attributes", 1, "audit", json.dumps(shown))
    outcome = invoke("thresholds", "--trial", "0")
    assert outcome.code == 1
    assert "it has no residuals" in outcome.err
    assert invoke("report", "-o", "r.html").code == 0
