"""The examples of docs/extending.md; code that only a study names does not run unasked."""

import json
import re
import shlex
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from archives import put_together, take_apart
from support import REPOSITORY, TINY_ARGUMENTS, Outcome

Invoke = Callable[..., Outcome]
PAGE = (REPOSITORY / "docs" / "extending.md").read_text()


@pytest.fixture(autouse=True)
def forget_modules() -> Iterator[None]:
    yield
    for name in ("my_losses", "my_search", "loud"):
        sys.modules.pop(name, None)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_the_page_runs_as_it_is_written(invoke: Invoke) -> None:
    loss, schedule, own_search = blocks("python")
    assert len(loss.splitlines()) <= 15
    Path("my_losses.py").write_text(loss + schedule)
    Path("my_search.py").write_text(own_search)
    for command in blocks("console"):
        outcome = invoke(*shlex.split(command)[1:], *TINY_ARGUMENTS, "--threads", "1")
        assert outcome.code == 0, outcome.err
        assert "3 complete" in outcome.out


LOUD = """
from pathlib import Path
from cvfp_opt.model.diversity import orthogonality
Path("imported").touch()
def loss(contexts, running_mean):
    return orthogonality(contexts, running_mean)
"""


def test_code_that_only_the_study_names_runs_when_allowed(invoke: Invoke) -> None:
    Path("loud.py").write_text(LOUD)
    words = [*TINY_ARGUMENTS, "--threads", "1", "--set", "diversity.loss=loud:loss"]
    assert invoke("run", "quick", "--n-trials", "1", *words).code == 0
    Path("imported").unlink()
    del sys.modules["loud"]
    for command in ("status", "best", "list", "thresholds"):
        assert invoke(command).code == 0
    go_on = ("run", "--study-name", "quick", "--n-trials", "2", "--threads", "1")
    refused = invoke(*go_on)
    assert (refused.code, refused.out) == (1, "")
    assert "study 'quick' names code of its own: loud:loss" in refused.err
    assert "add --allow-code" in refused.err
    assert not Path("imported").exists()
    assert invoke(*go_on, "--allow-code").code == 0
    assert Path("imported").exists()
    # whoever types the definition has named the code
    assert invoke("run", "quick", "--n-trials", "3", *words).code == 0


def test_code_that_changed_is_refused(invoke: Invoke) -> None:
    Path("loud.py").write_text(LOUD)
    words = [*TINY_ARGUMENTS, "--threads", "1", "--set", "diversity.loss=loud:loss"]
    assert invoke("run", "quick", "--n-trials", "1", *words).code == 0
    Path("loud.py").write_text(LOUD + "# another day\n")
    outcome = invoke("run", "quick", "--n-trials", "2", *words)
    assert (outcome.code, outcome.out) == (1, "")
    assert (
        "the file of loud:loss is not the one that study 'quick' was created with" in outcome.err
    )


def test_code_that_does_not_fit_is_refused_before_anything_is_written(invoke: Invoke) -> None:
    Path("loud.py").write_text("def loss(contexts):\n    return contexts.sum()\n")
    outcome = invoke("run", "quick", *TINY_ARGUMENTS, "--set", "diversity.loss=loud:loss")
    assert (outcome.code, outcome.out) == (1, "")
    assert "running_mean: (D,) tensor or None) that returns a scalar tensor" in outcome.err
    assert not Path("storage").exists()


CHOICE = '{"name": "CategoricalDistribution", "attributes": {"choices": ["loud:loss"]}}'


def forged(changes: Callable[[dict[str, Any]], object]) -> Path:
    """The export of study "quick" with every trial changed."""
    members = take_apart(Path("quick.cvfp.zip"))
    trials = [json.loads(line) for line in members["trials.jsonl"].splitlines()]
    for trial in trials:
        changes(trial)
    lines = "".join(json.dumps(trial) + "\n" for trial in trials)
    return put_together(Path("forged.cvfp.zip"), members | {"trials.jsonl": lines.encode()})


def choose(name: str) -> Callable[[dict[str, Any]], object]:
    """As another program might: one more parameter, with one choice."""
    param = {"name": name, "value": 0.0, "distribution": json.loads(CHOICE)}
    return lambda trial: trial["params"].append(param)


def move(trial: dict[str, Any]) -> None:
    [param] = [param for param in trial["params"] if param["name"] == "dist_reg_weight"]
    param["distribution"]["attributes"]["high"] = param["value"] = 99.0


def drift(key: str) -> Callable[[dict[str, Any]], object]:
    def change(trial: dict[str, Any]) -> None:
        trial["user_attrs"]["environment"]["drift"] = {"keys": {f"definition.{key}": "loud:loss"}}

    return change


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            choose("diversity.loss"),
            "trial 0, parameter 'diversity.loss': the study's space has no",
        ),
        (choose("schedule.kind"), "trial 0, parameter 'schedule.kind': the study's space has no"),
        (choose("data.path"), "trial 0, parameter 'data.path': the study's space has no such"),
        (move, "trial 0, parameter 'dist_reg_weight': a number from 0.1 to 0.9 is required, got"),
        (drift("nonsense"), "section.key is required, got 'nonsense'"),
    ],
)
def test_an_export_whose_trials_leave_the_study_s_space_is_refused(
    run_tiny: Invoke, invoke: Invoke, changes: Callable[..., object], message: str
) -> None:
    Path("loud.py").write_text(LOUD)
    run_tiny("--n-trials", "1", "--n-jobs", "1")
    invoke("study", "export", "quick", "-o", "quick.cvfp.zip")
    refused = invoke("study", "import", str(forged(changes)), "--storage", "there.db")
    assert (refused.code, refused.out, refused.err.count("\n")) == (1, "", 1)
    assert message in refused.err
    assert not Path("there.db").exists()
    assert not Path("imported").exists()


TRAIN_AGAIN = [
    ["trial", "replay", "0"],
    ["study", "publish", "quick", "net", "--trial", "0"],
    ["best", "--save", "net"],
    ["best", "--toml"],
]


def test_a_drift_brings_no_code_that_was_not_allowed(run_tiny: Invoke, invoke: Invoke) -> None:
    Path("loud.py").write_text(LOUD)
    run_tiny("--n-trials", "1", "--n-jobs", "1")
    invoke("study", "export", "quick", "-o", "quick.cvfp.zip")
    archive = str(forged(drift("diversity.loss")))
    there = ["--storage", "there.db"]
    assert invoke("study", "import", archive, *there).code == 0
    for command in TRAIN_AGAIN[:3]:
        refused = invoke(*command, *there)
        assert refused.code == 1
        assert "add --allow-code" in refused.err
    stopped = invoke("confirm", "--seeds", "2", "--n-jobs", "1", *there)
    assert stopped.code == 1
    assert "names code that its study does not: loud:loss; it is not run" in stopped.err
    assert not Path("imported").exists()


def test_parameters_that_another_program_wrote_are_not_trained_by(
    run_tiny: Invoke, invoke: Invoke
) -> None:
    Path("loud.py").write_text(LOUD)
    run_tiny("--n-trials", "1", "--n-jobs", "1")
    assert invoke("trial", "enqueue", "--set", "dist_reg_weight=0.5").code == 0
    with sqlite3.connect(Path("storage") / "cvfp.db") as connection:
        connection.executemany(
            "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) "
            "SELECT trial_id, 'diversity.loss', 0, ? FROM trials WHERE number = ?",
            [(CHOICE, 0), (CHOICE, 1)],
        )
    connection.close()
    for command in TRAIN_AGAIN:
        refused = invoke(*command)
        assert refused.code == 1, command
        assert "trial 0: " in refused.err
        assert "diversity.loss: the study's space has no such parameter" in refused.err
    assert not Path("net").exists()
    assert run_tiny("--n-trials", "3", "--n-jobs", "1").code == 0
    failed = json.loads(invoke("trial", "show", "1", "--json").out)
    assert (failed["state"], failed["status"]) == ("fail", "refused")
    assert "diversity.loss: the study's space has no such parameter" in failed["reason"]
    assert json.loads(invoke("trial", "show", "2", "--json").out)["state"] == "complete"
    assert not Path("imported").exists()


def enqueue(trial: dict[str, Any]) -> None:
    """As Optuna itself does it, which takes a number that lies outside of its range."""
    move(trial)
    trial["system_attrs"]["fixed_params"] = {"dist_reg_weight": 99.0}


def test_a_number_that_somebody_enqueued_comes_along_and_is_not_trained_by(
    run_tiny: Invoke, invoke: Invoke
) -> None:
    run_tiny("--n-trials", "1", "--n-jobs", "1")
    invoke("study", "export", "quick", "-o", "quick.cvfp.zip")
    there = ["--storage", "there.db"]
    assert invoke("study", "import", str(forged(enqueue)), *there).code == 0
    refused = invoke("trial", "replay", "0", *there)
    assert (refused.code, refused.out) == (1, "")
    assert "dist_reg_weight: a number from 0.1 to 0.9 is required, got 99.0" in refused.err


def test_trials_of_an_allowed_drift_come_along_and_are_trained_by_it(
    run_tiny: Invoke, invoke: Invoke
) -> None:
    run_tiny("--n-trials", "1", "--n-jobs", "1")
    other = "space.phase1_convergence_threshold={ low = 0.6, high = 0.9 }"
    run_tiny("--n-trials", "2", "--n-jobs", "1", "--set", other, "--allow-drift")
    invoke("study", "export", "quick", "-o", "quick.cvfp.zip")
    there = ["--storage", "there.db"]
    assert invoke("study", "import", "quick.cvfp.zip", *there).code == 0
    assert "identical" in invoke("trial", "replay", "1", *there).out


def test_an_arm_of_a_confirmation_that_somebody_else_made_ends_no_worker(
    run_tiny: Invoke, invoke: Invoke
) -> None:
    Path("loud.py").write_text(LOUD)
    run_tiny("--n-trials", "1", "--n-jobs", "1")
    confirm = ("confirm", "--seeds", "2", "--top", "1", "--n-jobs", "1", "--threads", "1")
    assert invoke(*confirm).code == 0
    theirs = ({"diversity.loss": "loud:loss"}, {"training.nope": 1}, {"nonsense": 1})
    with closing(sqlite3.connect(Path("storage") / "cvfp.db")) as connection, connection:
        points = connection.execute(
            "SELECT trial_id, value_json FROM trial_system_attributes WHERE key = 'cvfp_opt:arm'"
        ).fetchall()
        for (trial, point), changes in zip(points, theirs, strict=False):
            connection.execute("UPDATE trials SET state = 'WAITING' WHERE trial_id = ?", [trial])
            for table in ("trial_values", "trial_user_attributes"):
                connection.execute(f"DELETE FROM {table} WHERE trial_id = ?", [trial])
            text = json.dumps(json.loads(point) | {"changes": changes})
            connection.execute(
                "UPDATE trial_system_attributes SET value_json = ? "
                "WHERE trial_id = ? AND key = 'cvfp_opt:arm'",
                [text, trial],
            )
    assert invoke(*confirm).code in (0, 1)
    study = ("--study-name", "quick/confirm", "--json")
    found = [json.loads(invoke("trial", "show", str(n), *study).out) for n in range(2)]
    assert [(one["state"], one["status"]) for one in found] == [("fail", "refused")] * 2
    assert "names code that its study does not: loud:loss" in found[0]["reason"]
    assert "training.nope: unknown key" in found[1]["reason"]
    assert not Path("imported").exists()
