"""``study``: show, delete, rename."""

import io
import json
import sys
import tomllib
from collections.abc import Callable

import optuna
import pytest
from support import Outcome

Invoke = Callable[..., Outcome]


class Terminal(io.StringIO):
    """Somebody who answers."""

    def isatty(self) -> bool:
        return True


def names(invoke: Invoke) -> list[str]:
    return [row["name"] for row in json.loads(invoke("study", "list", "--json").out)]


def test_a_study_is_shown_with_its_definition(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "2", "--seed", "3")
    out = invoke("study", "show", "quick").out
    head, definition = out.split("\n\n", 1)
    for word in ("uuid", "created", "versions", "cpu", "digest", "embedded", "2 complete"):
        assert word in head
    assert tomllib.loads(definition)["search"]["seed"] == 3
    found = json.loads(invoke("study", "show", "quick", "--json").out)
    assert found["record"]["definition"]["model"]["context_size"] == 8
    assert found["uuid"] == found["record"]["uuid"]
    assert found["uuid"] in head
    assert found["counts"]["complete"] == 2
    assert found["directions"] == ["maximize"]
    [segment] = found["segments"]
    assert segment["trials"] == [0, 1]


def test_list_is_the_same_in_the_group(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "1")
    assert invoke("study", "list").out == invoke("list").out != ""


def test_a_study_is_deleted_with_its_mirrors(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "1")
    run_tiny("--n-trials", "1", "--study-name", "other")
    out = invoke("study", "delete", "quick", "--yes").out
    assert out == "deleted study quick with 1 trial in sqlite:///storage/cvfp.db\n"
    assert names(invoke) == ["other"]
    assert invoke("status", "--study-name", "quick/pareto").code == 1
    assert run_tiny("--n-trials", "1").out.startswith("new study quick")


def test_a_study_that_only_has_a_mirrors_name_is_nobodys_but_its_owners(
    run_tiny: Invoke, invoke: Invoke
) -> None:
    url = "sqlite:///storage/cvfp.db"
    run_tiny("--timeout", "0")  # makes the database
    optuna.delete_study(study_name="quick/pareto", storage=url)
    mine = optuna.create_study(study_name="quick/pareto", storage=url, direction="minimize")
    mine.add_trial(optuna.trial.create_trial(value=1.0))
    outcome = run_tiny("--n-trials", "2", "--n-jobs", "1")
    line = "study 'quick' has no Pareto front quick/pareto: a study of that name is somebody's own"
    assert " ".join((outcome.out + outcome.err).split()).count(line) == 1
    assert names(invoke) == ["quick", "quick/pareto"]
    doctor = invoke("study", "doctor", "--repair")
    assert doctor.code == 0, doctor.out
    assert invoke("study", "delete", "quick", "--yes").code == 0
    assert names(invoke) == ["quick/pareto"]
    assert [trial.value for trial in mine.trials] == [1.0]


def test_nobody_there_to_be_asked(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "1")
    refused = invoke("study", "delete", "quick", "--storage", "storage/cvfp.db", "--force")
    assert (refused.code, refused.out) == (1, "")
    assert (
        "type `cvfp-opt study delete --storage storage/cvfp.db --force --yes quick`" in refused.err
    )
    assert names(invoke) == ["quick"]


@pytest.mark.parametrize(("answer", "left"), [("y\n", []), ("n\n", ["quick"]), ("\n", ["quick"])])
def test_the_user_is_asked(
    run_tiny: Invoke,
    invoke: Invoke,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    left: list[str],
) -> None:
    run_tiny("--timeout", "0")
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    outcome = invoke("study", "delete", "quick")
    assert "Delete study quick with 0 trials in sqlite:///storage/cvfp.db?" in outcome.err
    assert outcome.code == (1 if left else 0)
    assert names(invoke) == left


def test_a_renamed_study_goes_on(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "2")
    assert invoke("study", "rename", "quick", "first").out == "study quick is study first now\n"
    words = ("--study-name", "first", "--n-trials", "3", "--threads", "1")
    assert invoke("run", *words).code == 0
    assert names(invoke) == ["first"]
    mirrored = json.loads(invoke("status", "--study-name", "first/pareto", "--json").out)
    assert mirrored["counts"]["complete"] == 3
    assert invoke("status", "--study-name", "quick/pareto").code == 1


def test_a_study_that_is_not_there(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--timeout", "0")
    for words in (["show", "quik"], ["delete", "quik", "--yes"], ["rename", "quik", "x"]):
        outcome = invoke("study", *words)
        assert outcome.code == 1
        assert "there is no study 'quik'; did you mean 'quick'?" in outcome.err
