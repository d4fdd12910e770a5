"""``trial replay``: a trial run again from its record, and compared with it."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import REPOSITORY, Outcome

Invoke = Callable[..., Outcome]


def replayed(invoke: Invoke, number: int, *words: str) -> dict[str, Any]:
    outcome = invoke("trial", "replay", str(number), "--json", *words)
    found: dict[str, Any] = json.loads(outcome.out)
    assert outcome.code == (0 if found["identical"] else 1)
    return found


def change(number: int, key: str, edit: Callable[[Any], Any]) -> None:
    """Edit an attribute of a trial of the first study, whatever its state."""
    with sqlite3.connect("storage/cvfp.db") as connection:
        trial = "SELECT trial_id FROM trials WHERE study_id = 1 AND number = ?"
        where = f"key = ? AND trial_id = ({trial})"
        query = f"SELECT value_json FROM trial_user_attributes WHERE {where}"
        (text,) = connection.execute(query, (key, number)).fetchone()
        connection.execute(
            f"UPDATE trial_user_attributes SET value_json = ? WHERE {where}",
            (json.dumps(edit(json.loads(text))), key, number),
        )
    connection.close()


def test_a_trial_is_repeated_to_the_last_bit(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "2")
    outcome = invoke("trial", "replay", "1")
    assert outcome.code == 0
    shown = json.loads(invoke("trial", "show", "1", "--json").out)
    digest = shown["environment"]["weights_digest"][:12]
    assert "trial 1 of study quick: identical (" in outcome.out
    assert f"quantities of 4 iterations, final weights {digest}; run again in " in outcome.out
    found = replayed(invoke, 0)
    assert (found["identical"], found["deviations"], found["environment"]) == (True, [], [])
    assert found["compared"] > 100


def test_what_differs_first_is_named_with_what_may_be_the_cause(
    run_tiny: Invoke, invoke: Invoke
) -> None:
    run_tiny("--n-trials", "1")

    def other_residual(iterations: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for one in iterations[1:]:
            one["residual"] *= 1.25
        return iterations

    change(0, "iterations", other_residual)
    outcome = invoke("trial", "replay", "0")
    assert outcome.code == 1
    assert "trial 0 of study quick: not identical (" in outcome.out
    assert "first difference in pass 2: residual was " in outcome.out
    assert ", relative 0.2)" in outcome.out
    assert "2 more quantities differ after it" in outcome.out
    assert "then and now: nothing that is recorded differs" in outcome.out

    def elsewhere(environment: dict[str, Any]) -> dict[str, Any]:
        environment["versions"]["torch"] = "2.6.0"
        del environment["versions"]["numba"]
        return environment | {"threads": 3, "processor": "SVE256", "reader": "torch", "lanes": 4}

    change(0, "environment", elsewhere)
    found = replayed(invoke, 0, "--threads", "1")
    differ = {one["name"]: (one["then"], one["now"]) for one in found["environment"]}
    assert differ["threads"] == (3, 1)
    assert differ["lanes"] == (4, 1)
    assert differ["processor"][0] == "SVE256"
    assert differ["torch"][0] == "2.6.0"
    assert found["unrecorded"] == ["numba"]
    assert found["first_deviation"]["quantity"] == "residual"
    assert found["first_deviation"]["relative"] == pytest.approx(0.2)


@pytest.mark.parametrize("key", ["weights_digest", "optimizer_steps"])
def test_the_end_is_compared_too(run_tiny: Invoke, invoke: Invoke, key: str) -> None:
    run_tiny("--n-trials", "1")
    change(0, "environment", lambda environment: environment | {key: "f" * 64})
    found = replayed(invoke, 0)
    assert found["first_deviation"]["iteration"] is None
    assert len(found["deviations"]) == 1


def test_audit_and_score_are_compared(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "1")

    def other(audit: dict[str, Any]) -> dict[str, Any]:
        audit["frozen_train"]["convergence"] += 0.5
        return audit

    change(0, "audit", other)
    change(0, "scored", lambda scored: scored | {"score": scored["score"] + 1.0})
    found = replayed(invoke, 0)
    assert [one["quantity"] for one in found["deviations"]] == [
        "audit.frozen_train.convergence",
        "scored.score",
    ]


def test_a_pruned_trial_is_repeated_to_where_it_was_pruned(
    run_tiny: Invoke, invoke: Invoke
) -> None:
    prune = ["search.pruner=median", "search.num_pruner_startup_trials=1"]
    prune += ["search.num_pruner_warmup_steps=1", "space.phase1_convergence_threshold=0.01"]
    settings = [word for setting in prune for word in ("--set", setting)]
    run_tiny("--n-trials", "6", "--n-jobs", "1", *settings)
    trials = [json.loads(invoke("trial", "show", str(n), "--json").out) for n in range(6)]
    pruned = next(trial for trial in trials if trial["state"] == "pruned")
    assert len(pruned["iterations"]) < 4
    found = replayed(invoke, pruned["number"])
    assert found["identical"]
    assert found["iterations"] == len(pruned["iterations"])
    assert found["weights_digest"] == pruned["environment"]["weights_digest"]


def test_a_diverged_trial_is_repeated(run_tiny: Invoke, invoke: Invoke) -> None:
    wild = ["space.phase1_learning_rate=1e30", "diversity.loss=deviation"]
    run_tiny("--n-trials", "1", *[word for one in wild for word in ("--set", one)])
    shown = json.loads(invoke("trial", "show", "0", "--json").out)
    assert shown["status"] == "diverged"
    assert replayed(invoke, 0)["identical"]


def test_a_trial_that_was_broken_off_is_repeated_as_far_as_it_told(
    run_tiny: Invoke, invoke: Invoke
) -> None:
    run_tiny("--n-trials", "1")
    untold = {"weight": None, "learning_rate": None, "cvfp_loss": None, "diversity_loss": None}
    change(0, "iterations", lambda found: [one | untold for one in found[:2]])
    change(0, "status", lambda status: "failed by hand")
    with sqlite3.connect("storage/cvfp.db") as connection:
        connection.execute("UPDATE trials SET state = 'FAIL' WHERE study_id = 1")
    connection.close()
    found = replayed(invoke, 0)
    assert (found["identical"], found["iterations"]) == (True, 2)
    assert found["note"].startswith("the trial was broken off (failed by hand): only the 2 ")


def test_a_trial_of_a_drifted_definition_is_repeated_by_its_own(
    run_tiny: Invoke, invoke: Invoke
) -> None:
    run_tiny("--n-trials", "1")
    run_tiny("--n-trials", "2", "--allow-drift", "--set", "training.num_epochs=1")
    assert replayed(invoke, 1)["identical"]
    for number, epochs in (("0", 2), ("1", 1)):
        shown = json.loads(invoke("trial", "show", number, "--json").out)
        trained = len(shown["iterations"]) - 1
        assert shown["environment"]["optimizer_steps"] == epochs * 4 * trained


def test_a_trial_keeps_its_seeds_under_another_number(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "2")
    run_tiny("--n-trials", "2", "--study-name", "other", "--seed", "5")
    assert invoke("study", "merge", "quick", "other", "-o", "both").code == 0
    for number in range(4):
        assert replayed(invoke, number, "--study-name", "both")["identical"]


def test_a_trial_of_an_old_version_is_compared(isolated_folder: Path, invoke: Invoke) -> None:
    old = REPOSITORY / "tests" / "fixtures" / "format-1" / "study.db"
    shutil.copy(old, isolated_folder / "old.db")
    found = replayed(invoke, 0, "--storage", "old.db")
    # other kernels since, on whatever processor: the same to float32's rounding (1e-7 was seen
    # between two makers' processors), with the same iterations
    assert "numba" in found["unrecorded"]
    first = found["first_deviation"]
    assert first is None or first["relative"] < 1e-5


def test_what_cannot_be_repeated_is_refused(run_tiny: Invoke, invoke: Invoke) -> None:
    import optuna

    Path("one.txt").write_text(" ".join(f"some words, number {i}." for i in range(200)))
    Path("two.txt").write_text(" ".join(f"other words, number {i}." for i in range(200)))
    run_tiny("--n-trials", "1", "--data", "one.txt")
    invoke("trial", "enqueue", "--set", "dist_reg_weight=0.5")
    invoke("trial", "enqueue", "--set", "dist_reg_weight=0.25")
    invoke("trial", "fail", "2")
    Path("one.txt").rename("moved.txt")
    optuna.create_study(study_name="theirs", storage="sqlite:///x.db").add_trial(
        optuna.trial.create_trial(value=1.0)
    )
    for words, message in (
        (["0", "--data", "two.txt"], "was trained with another text"),
        (["0"], "one.txt"),
        (["1"], "is waiting: a finished one is required"),
        (["2"], "has reported no iteration (failed by hand: ended by hand)"),
        (["3"], "a trial from 0 to 2 is required, got 3"),
        (["0", "--storage", "x.db"], "made by another program"),
    ):
        outcome = invoke("trial", "replay", *words)
        assert (outcome.code, outcome.out) == (1, ""), words
        assert message in outcome.err
    assert replayed(invoke, 0, "--data", "moved.txt")["identical"]
