"""Studies of Optuna 4, of other programs and of newer versions: shown as far as they go."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import schemas
from support import REPOSITORY, TINY_ARGUMENTS, Outcome

pytestmark = pytest.mark.usefixtures("figures")
Invoke = Callable[..., Outcome]
NAMES = (
    "minimized",
    "two objectives",
    "infinite",
    "empty",
    "none complete",
    "[bold]quick[/x]/pareto",
    "newer",
)
FOREIGN = "made by another program: no definition and no audit to show"
NEWER = "written by a newer cvfp-opt: only parameters, values and states can be shown"


@pytest.fixture(autouse=True)
def database(isolated_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of what tests/fixtures/optuna-4/make.py wrote."""
    shutil.copy(REPOSITORY / "tests" / "fixtures" / "optuna-4" / "study.db", "theirs.db")
    monkeypatch.setenv("CVFP_OPT_STORAGE", "theirs.db")


def refuse_constant(name: str) -> None:
    raise ValueError(f"no JSON: {name}")


def strict(text: str) -> object:
    return json.loads(text, parse_constant=refuse_constant)


@pytest.mark.parametrize("name", NAMES)
def test_every_command_that_looks_at_it(name: str, invoke: Invoke) -> None:
    before = Path("theirs.db").read_bytes()
    show = ("study", "show", name)
    for words in (("status", "--study-name", name), show):
        outcome = invoke(*words)
        assert outcome.code == 0, outcome.err
        assert name in outcome.out
        plain = strict(invoke(*words, "--json").out)
        assert isinstance(plain, dict)
        assert plain["note"]
        assert plain["note"].split(";")[0] in outcome.out
    trials = sum(json.loads(invoke(*show, "--json").out)["counts"].values())
    for number in range(trials):
        words = ("trial", "show", str(number), "--study-name", name)
        assert invoke(*words).code == 0
        strict(invoke(*words, "--json").out)
    ranked = name not in ("empty", "none complete")
    for words in (("best",), ("best", "--json")):
        outcome = invoke(*words, "--study-name", name)
        assert outcome.code == (0 if ranked else 1)
        assert ranked or "at least one complete trial is required" in outcome.err
    for words in (("best", "--toml"), ("thresholds",)):
        outcome = invoke(*words, "--study-name", name)
        assert outcome.code == 1
        assert outcome.err.startswith("Error: ")
    assert Path("theirs.db").read_bytes() == before


def test_all_of_them_are_listed_with_whose_they_are(invoke: Invoke) -> None:
    out = invoke("list").out
    assert [line.split("  ")[0].strip() for line in out.splitlines()[1:]] == [
        "minimized (another program's)",
        "two objectives (another program's)",
        "infinite (another program's)",
        "empty (another program's)",
        "none complete (another program's)",
        "[bold]quick[/x]/pareto (record damaged)",
        "newer (a newer cvfp-opt's)",
    ]
    rows = strict(invoke("list", "--json").out)
    assert isinstance(rows, list)
    best = {row["name"]: row["best_value"] for row in rows}
    assert (best["minimized"], best["two objectives"]) == (0.25, None)
    assert best["infinite"] == "Infinity"


def test_what_it_minimizes_is_said_and_ranked_so(invoke: Invoke) -> None:
    status = invoke("status", "--study-name", "minimized").out
    assert "trials: 2 complete, 1 pruned, 1 fail, 1 running, 1 waiting" in status
    assert f"{FOREIGN} (the database is from Optuna 4." in status
    assert "best: trial 1 with value 0.25 (minimized)" in status
    assert "trial 3 failed: no reason is stored" in status
    best = invoke("best", "--study-name", "minimized").out
    assert "optimizer                         [red]sgd[/x]" in best
    assert "layers                            54322" in best
    assert "mixed                             True" in best


def test_two_objectives_have_a_front_by_their_own_directions(invoke: Invoke) -> None:
    status = invoke("status", "--study-name", "two objectives").out
    assert "two objectives; on the Pareto front: trials 0, 1, 3" in status
    best = invoke("best", "--study-name", "two objectives").out
    assert "trial 0: values 0.5 (minimized), 0.5 (maximized)" in best
    assert "on the Pareto front, with trials 1, 3" in best


def test_others_attributes_of_the_same_name_stay_out(invoke: Invoke) -> None:
    for number in ("0", "3"):
        words = ("trial", "show", number, "--study-name", "minimized", "--json")
        found = json.loads(invoke(*words).out)
        for key in ("metrics", "audit", "seconds", "iterations", "environment"):
            assert not found[key]
        assert found["status"] == found["reason"] == ""


def test_reported_values_of_all_kinds_are_shown(invoke: Invoke) -> None:
    words = ("trial", "show", "1", "--study-name", "minimized")
    out = invoke(*words).out
    assert [line.split() for line in out.splitlines()[-4:]] == [
        ["0", "2.0000"],
        ["1", "nan"],
        ["2", "inf"],
        ["10", "0.2500"],
    ]
    assert json.loads(invoke(*words, "--json").out)["reported"]["1"] == "NaN"


def test_a_newer_version_is_told_from_another_program(invoke: Invoke) -> None:
    assert NEWER in invoke("status", "--study-name", "newer").out
    out = invoke("best", "--study-name", "newer").out
    assert out.startswith("trial 0: value 0.5 (maximized)")
    assert "pip install -U cvfp-opt" in out


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("minimized", "was made by another program"),
        ("two objectives", "was made by another program"),
        ("empty", ""),  # nobody's yet: a study that was cut off at birth looks the same
        ("newer", "written by a newer cvfp-opt (record format 99, this one reads up to "),
        ("[bold]quick[/x]/pareto", "its record (attribute 'cvfp_opt:study') is damaged"),
    ],
)
def test_a_run_is_refused(name: str, message: str, invoke: Invoke) -> None:
    before = Path("theirs.db").read_bytes()
    words = ("quick", *TINY_ARGUMENTS, "--study-name", name, "--n-trials", "1", "--threads", "1")
    outcome = invoke("run", *words)
    assert outcome.code == (1 if message else 0), outcome.err
    assert message in outcome.err
    if message:
        assert outcome.out == ""
        assert Path("theirs.db").read_bytes() == before


def test_they_can_be_renamed_and_deleted(invoke: Invoke) -> None:
    assert invoke("study", "rename", "two objectives", "front").code == 0
    assert invoke("study", "delete", "minimized", "--yes").code == 0
    names = [row["name"] for row in json.loads(invoke("list", "--json").out)]
    assert names[:2] == ["front", "infinite"]
    status = invoke("status", "--study-name", "front").out
    assert "on the Pareto front: trials 0, 1, 3" in status


def test_what_others_add_to_a_study_of_ours_does_no_harm(
    invoke: Invoke, run_tiny: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another tool may add trials to our study, with words of its own under our names."""
    import optuna

    monkeypatch.setattr(schemas, "CLOSED", False)
    monkeypatch.setenv("CVFP_OPT_STORAGE", "ours.db")
    early = [
        "search.pruner=asha",
        "search.num_pruner_startup_trials=1",
        "search.num_pruner_warmup_steps=1",
    ]
    run_tiny("--n-trials", "2", *(word for one in early for word in ("--set", one)))
    study = optuna.load_study(study_name="quick", storage="sqlite:///ours.db")
    space = study.trials[0].distributions
    for words in (
        {"metrics": "a string", "audit": {"passed": True}, "iterations": "three"},
        {"iterations": [{"loss": 1.0}] * 9, "environment": {"drift": 3}, "scored": {"f1": 1}},
    ):
        study.add_trial(
            optuna.trial.create_trial(
                value=9.0,
                params=study.trials[0].params,
                distributions=space,
                user_attrs=words,
                system_attrs={"cvfp_opt:birth": {"uuid": 3}},
            )
        )
    go_on = ("run", "--study-name", "quick", "--n-trials", "6", "--threads", "1", "--n-jobs", "1")
    outcome = invoke(*go_on)
    assert outcome.code == 0, outcome.err
    assert json.loads(invoke("status", "--json").out)["counts"]["fail"] == 0
    for command in (["best"], ["trial", "show", "2"], ["trial", "show", "3"], ["study", "list"]):
        assert invoke(*command).code == 0
    assert "Trial 2 scores 9.000, but carries no audit." in " ".join(invoke("status").out.split())
    mirrored = json.loads(invoke("status", "--study-name", "quick/pareto", "--json").out)
    assert mirrored["counts"]["complete"] <= 4


def test_an_empty_one_is_not_confirmed(invoke: Invoke) -> None:
    outcome = invoke("confirm", "empty")
    assert (outcome.code, outcome.out) == (1, "")
    assert "at least one complete trial is required, it has none" in outcome.err
