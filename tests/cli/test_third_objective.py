"""A study that searches contexts of use too: each command shows the perplexity, and repeats it."""

import csv
import json
import math
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import TINY_ARGUMENTS, Outcome

import cvfp_opt

Invoke = Callable[..., Outcome]
THIRD = ("--set", "objective.downstream=true", "--threads", "1", "--n-jobs", "1")


@pytest.fixture
def searched(invoke: Invoke) -> list[dict[str, Any]]:
    """The trials of a study with three of them."""
    outcome = invoke("run", "pareto", *TINY_ARGUMENTS, *THIRD, "--n-trials", "3")
    assert outcome.code == 0, outcome.err
    found = trials(invoke)
    for trial, line in zip(found, re.findall(r"^\[\d/3\] .*", outcome.out, re.M), strict=True):
        assert f"  perplexity {trial['downstream']['held_out_perplexity']:.1f}  " in line
    return found


def trials(invoke: Invoke, *words: str) -> list[dict[str, Any]]:
    shown = (invoke("trial", "show", str(number), "--json", *words).out for number in range(3))
    return [json.loads(one) for one in shown]


def values(found: list[dict[str, Any]]) -> list[list[float]]:
    return [trial["values"] for trial in found]


def test_what_each_command_says_of_it(searched: list[dict[str, Any]], invoke: Invoke) -> None:
    perplexities = [trial["downstream"]["held_out_perplexity"] for trial in searched]
    assert [trial["values"][2] for trial in searched] == [-math.log(one) for one in perplexities]
    state = json.loads(invoke("status", "--json").out)
    assert state["directions"] == ["maximize"] * 3
    best = json.loads(invoke("best", "--json").out)
    words = f"perplexity {best['downstream']['held_out_perplexity']:.1f}"
    front = sorted(trial["number"] for trial in state["best"])
    status = invoke("status").out
    assert "three objectives; on the Pareto front: trials " in status
    number = best["number"]
    for out in (
        status,
        invoke("best").out,
        invoke("trial", "show", str(number)).out,
    ):
        assert words in out
    listed = json.loads(invoke("trial", "list", "--json").out)
    assert [row["perplexity"] for row in listed] == perplexities
    page = invoke("report", "pareto", "-o", "page.html", "--data", "numbers")
    assert page.code == 0, page.err
    rows = list(csv.DictReader(Path("numbers/pareto.csv").read_text().splitlines()))
    assert [float(row["perplexity"]) for row in rows[:3]] == perplexities
    assert [n for n in range(3) if "front" in rows[n]["role"]] == front
    assert "held-out perplexity" in Path("page.html").read_text()
    trial = cvfp_opt.open("pareto").trials[number]
    assert trial.perplexity == perplexities[number]
    assert trial.downstream == searched[number]["downstream"]
    assert trial.values == tuple(searched[number]["values"])


def test_a_replay_compares_it(searched: list[dict[str, Any]], invoke: Invoke) -> None:
    replay = json.loads(invoke("trial", "replay", "1", "--json").out)
    assert (replay["identical"], replay["deviations"]) == (True, [])
    probe = searched[1]["downstream"]
    _change(1, "downstream", probe | {"held_out_perplexity": 7.0})
    other = json.loads(invoke("trial", "replay", "1", "--json").out)
    [deviation] = other["deviations"]
    assert deviation == {
        "iteration": None,
        "quantity": "downstream.held_out_perplexity",
        "recorded": 7.0,
        "replayed": probe["held_out_perplexity"],
    }
    faults = invoke("study", "doctor")
    assert "third value, and minus the logarithm of the perplexity" in faults.out


def _change(number: int, key: str, value: Any) -> None:
    import optuna

    storage = optuna.storages.RDBStorage("sqlite:///storage/cvfp.db")
    trial = optuna.load_study(study_name="pareto", storage=storage).trials[number]
    text = json.dumps(value)
    with storage.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE trial_user_attributes SET value_json = ? WHERE key = ? AND trial_id = ?",
            (text, key, trial._trial_id),
        )
    storage.engine.dispose()


def test_the_best_network_is_handed_on_and_confirmed_with_it(
    searched: list[dict[str, Any]], invoke: Invoke
) -> None:
    best = json.loads(invoke("best", "--json").out)
    published = invoke("study", "publish", "pareto", "net")
    assert published.code == 0, published.err
    saved = json.loads(Path("net/checkpoint.json").read_text())
    assert saved["result"]["downstream"] == best["downstream"]
    perplexity = best["downstream"]["held_out_perplexity"]
    assert f"with a perplexity of {perplexity:.1f} (lower" in Path("net/README.md").read_text()
    # the first order of minibatches is the one that the trial had
    words = ("thresholds", "net", "--downstream", "--threads", "1", "--json")
    rows = json.loads(invoke(*words).out)["downstream"]
    [beside] = [one for one in rows if one["features"] == "contexts beside embedding"]
    assert beside["probes"][0] == best["downstream"]
    few = ("--top", "1", "--seeds", "2", "--threads", "1", "--n-jobs", "1", "--json")
    confirmed = json.loads(invoke("confirm", "--study-name", "pareto", *few).out)
    assert confirmed["done"] == confirmed["total"] == 6
    runs = [
        json.loads(invoke("trial", "show", str(n), "--json", "--study-name", "pareto/confirm").out)
        for n in range(6)
    ]
    for run in runs:
        third = -math.log(run["downstream"]["held_out_perplexity"])
        assert run["values"][2] == third


def test_killed_it_goes_on_to_the_same_values(
    searched: list[dict[str, Any]], invoke: Invoke, start: Callable[..., Any]
) -> None:
    words = ("pareto", *TINY_ARGUMENTS, *THIRD, "--n-trials", "3", "--storage", "two.db")
    process = start("run", *words, cwd=Path.cwd())
    for line in process.stdout:
        if line.startswith("[1/"):
            break
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() != 0
    assert invoke("run", *words).code == 0
    assert values(trials(invoke, "--storage", "two.db")) == values(searched)


def test_what_it_does_not_go_with_is_said_in_a_line(invoke: Invoke) -> None:
    for more, message in (
        (("quick",), 'objective.downstream: true is possible only with objective.kind = "pareto"'),
        (("pareto", "--set", "search.pruner=asha"), 'search.pruner: only "none" is possible'),
    ):
        outcome = invoke("run", *more, *TINY_ARGUMENTS, *THIRD)
        assert outcome.code == 1
        assert message in outcome.err
        assert len(outcome.err.splitlines()) == 1
    assert not Path("storage").exists()
