"""``confirm``: the best trials on fresh seeds; stopped, killed, shared, and shown."""

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna_dashboard import get_note
from support import Outcome, Start

from cvfp_opt.store.files.saved_networks import read_checkpoint

Invoke = Callable[..., Outcome]
FEW = ("--top", "2", "--seeds", "2", "--threads", "1", "--n-jobs", "1")
DASK = ("confirm", *FEW, "--engine", "dask")
RUNS = 8  # two trials, the default point and the untrained net, on two seeds


def confirmed(invoke: Invoke, *words: str) -> dict[str, Any]:
    outcome = invoke("confirm", "--json", *FEW, *words)
    assert outcome.code == 0, outcome.err
    found: dict[str, Any] = json.loads(outcome.out)
    return found


def scores(found: dict[str, Any]) -> dict[str, dict[str, float]]:
    return {one["label"]: one["scores"] for one in found["results"]}


def runs(state: str = "complete", name: str = "quick/confirm") -> list[tuple[str, int]]:
    study = optuna.load_study(study_name=name, storage="sqlite:///storage/cvfp.db")
    marks = [
        trial.system_attrs["cvfp_opt:arm"]
        for trial in study.get_trials()
        if trial.state.name.lower() == state
    ]
    return [(mark["arm"], mark["seed"]) for mark in marks]


def test_the_winner_is_shown_with_its_figures_on_fresh_seeds(
    run_tiny: Invoke, invoke: Invoke
) -> None:
    run_tiny("--n-trials", "3")
    hint = "type `cvfp-opt confirm --study-name quick`"
    assert invoke("best").out.startswith(
        "not confirmed yet: the best score is that of one run on on"
    )
    assert hint in invoke("status").out
    outcome = invoke("confirm", *FEW)
    assert outcome.code == 0, outcome.err
    networks = list(Path("storage/artifacts").glob("*-f"))
    assert len(networks) == 3, "the search's; the runs of a confirmation leave none"
    rows = outcome.out.split("verdict")[1]
    for label in ("default point", "untrained net", "The winner, trial ", "Optimism: "):
        assert label in rows
    assert invoke("best").out.startswith("on 2 fresh seeds: trial ")
    assert "\non 2 fresh seeds: trial " in invoke("status").out
    found = json.loads(invoke("best", "--json").out)
    told = found["confirmation"]
    assert (told["done"], told["total"], told["winner"]) == (RUNS, RUNS, found["number"])
    assert json.loads(invoke("status", "--json").out)["confirmation"] == told
    fresh = [list(one.values()) for one in scores(told).values()]
    assert all(len(set(values)) == 2 for values in fresh)
    assert found["value"] not in [value for values in fresh for value in values]
    study = optuna.load_study(study_name="quick", storage="sqlite:///storage/cvfp.db")
    assert "On 2 fresh seeds: trial " in get_note(study).replace("\\", "")
    again = run_tiny("--n-trials", "3", "--json")
    assert json.loads(again.out)["confirmation"] == told
    assert "\non 2 fresh seeds: trial " in run_tiny("--n-trials", "3").out
    assert invoke("best", "--toml").out.splitlines()[1].startswith("# on 2 fresh seeds: trial ")
    assert "On 2 fresh seeds" not in invoke("status", "--study-name", "quick/confirm").out
    assert invoke("best", "--save", "winner").code == 0
    origin = read_checkpoint(Path("winner")).account.origin
    assert origin["confirmation"] in told["results"]
    assert "**On 2 fresh seeds: trial " in Path("winner/README.md").read_text()


def test_typed_again_it_adds_what_is_missing(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "3")
    first = confirmed(invoke)
    assert confirmed(invoke) == first
    assert len(runs()) == RUNS
    more = confirmed(invoke, "--seeds", "3")
    assert more["total"] == RUNS + 4
    for label, one in scores(first).items():
        assert {k: scores(more)[label][k] for k in one} == one
    # the search goes on, and has another winner perhaps: what was confirmed stays
    run_tiny("--n-trials", "6")
    later = confirmed(invoke, "--top", "4")
    assert scores(more).keys() <= scores(later).keys()
    assert len(runs()) == len(set(runs()))


def test_the_untrained_net_is_untrained_and_every_run_can_be_replayed(
    run_tiny: Invoke, invoke: Invoke
) -> None:
    run_tiny("--n-trials", "2")
    confirmed(invoke)
    shown = {}
    for number in range(4):
        words = ("trial", "show", str(number), "--study-name", "quick/confirm", "--json")
        one = json.loads(invoke(*words).out)
        shown[one["arm"]["label"]] = one
        replayed = invoke("trial", "replay", str(number), "--study-name", "quick/confirm")
        assert replayed.code == 0, replayed.out
    assert shown["untrained net"]["environment"]["optimizer_steps"] == 0
    assert shown["default point"]["environment"]["optimizer_steps"] > 0
    assert shown["default point"]["params"]["dist_reg_weight"] == 0.5


def test_it_follows_its_study_and_is_no_study_to_search(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "2")
    confirmed(invoke)
    listed = [row["name"] for row in json.loads(invoke("list", "--json").out)]
    assert listed == ["quick"]
    names = optuna.get_all_study_names("sqlite:///storage/cvfp.db")
    assert "quick/confirm/pareto" not in names
    doctor = invoke("study", "doctor")
    assert doctor.code == 0, doctor.out
    for words in (["run", "--n-trials", "99"], ["trial", "enqueue", "--set", "layernorm_mix=1"]):
        refused = invoke(*words, "--study-name", "quick/confirm")
        assert refused.code == 1
        assert "is the confirmation of study 'quick', which nobody searches" in refused.err
    refused = invoke("study", "rename", "quick/confirm", "mine")
    assert "named after it: rename that one" in refused.err
    assert invoke("study", "rename", "quick", "first").code == 0
    assert invoke("best").out.startswith("on 2 fresh seeds: trial ")
    assert confirmed(invoke)["total"] == len(runs(name="first/confirm")) == RUNS
    assert invoke("study", "delete", "first", "--yes").code == 0
    assert optuna.get_all_study_names("sqlite:///storage/cvfp.db") == []


def test_it_moves_to_another_database(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "2")
    before = confirmed(invoke)
    exported = invoke("study", "export", "quick", "-o", "q.zip")
    assert f"2 trials and {RUNS} runs of its confirmation" in exported.out
    assert invoke("study", "import", "q.zip", "--storage", "other.db").code == 0
    found = json.loads(invoke("best", "--json", "--storage", "other.db").out)
    assert found["confirmation"] == before
    assert confirmed(invoke, "--storage", "other.db") == before
    refused = invoke("study", "export", "quick/confirm", "-o", "c.zip")
    assert "is the confirmation of 'quick' and goes where that one goes" in refused.err
    # with a study of another seed
    run_tiny("--n-trials", "2", "--seed", "3", "--study-name", "more")
    joined = invoke("study", "merge", "quick", "more", "-o", "joined")
    assert joined.code == 0, joined.err
    after = json.loads(invoke("status", "--json", "--study-name", "joined").out)["confirmation"]
    assert [one["scores"] for one in after["results"]] == [
        one["scores"] for one in before["results"]
    ]
    assert confirmed(invoke, "--study-name", "joined", "--top", "1")["winner"] is not None


def test_what_cannot_be_confirmed_is_refused(run_tiny: Invoke, invoke: Invoke) -> None:
    assert "there is no study database" in invoke("confirm").err
    run_tiny("--timeout", "0")
    refused = invoke("confirm")
    assert (refused.code, refused.out) == (1, "")
    assert "at least one complete trial is required, it has none" in refused.err
    assert "there is no study 'quik'" in invoke("confirm", "--study-name", "quik").err
    study = optuna.create_study(study_name="theirs", storage="sqlite:///x.db")
    study.add_trial(optuna.trial.create_trial(value=1.0))
    assert "made by another program" in invoke("confirm", "--storage", "x.db").err
    assert invoke("confirm", "--seeds", "1").code == 2
    assert optuna.get_all_study_names("sqlite:///x.db") == ["theirs"]


def test_messages_name_no_option_that_confirm_lacks(
    run_tiny: Invoke, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("text.txt").write_text("one two three four " * 200)
    run_tiny("--n-trials", "2", "--data", "text.txt")
    Path("text.txt").write_text("four three two one " * 200)
    drifted = invoke("confirm", *FEW)
    assert "was created with another text" in drifted.err
    Path("text.txt").write_text("short")
    short = invoke("confirm", *FEW, "--data", "text.txt")
    assert "tokens are required" in short.err
    Path("text.txt").write_text("one two three four " * 200)

    def broken(*args: object, **words: object) -> None:
        raise RuntimeError("broken device")

    monkeypatch.setattr("cvfp_opt.tuning.objective.Objective.__call__", broken)
    failed = invoke("confirm", *FEW)
    assert "all failed, the last one with: RuntimeError: broken device; mend" in failed.err
    monkeypatch.undo()
    known = invoke("confirm", "--help").out
    for refused in (drifted, short, failed):
        assert refused.code == 1
        named = set(re.findall(r"--[a-z][a-z-]+", refused.err))
        assert named <= set(re.findall(r"--[a-z][a-z-]+", known)), refused.err


def test_a_study_with_two_objectives(invoke: Invoke, run_tiny: Invoke) -> None:
    pareto = ["--set", "objective.kind=pareto", "--set", "search.pruner=none"]
    run_tiny("--n-trials", "3", *pareto)
    found = confirmed(invoke)
    assert found["done"] == found["total"]
    assert all(len(one) == 2 for one in scores(found).values())


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_stopped_or_killed_it_goes_on_to_the_same_figures(
    run_tiny: Invoke, invoke: Invoke, start: Start, blow: signal.Signals
) -> None:
    run_tiny("--n-trials", "2")
    reference = scores(confirmed(invoke, "--seeds", "4"))
    run_tiny("--n-trials", "2", "--storage", "storage/two.db")
    process = start("confirm", *FEW, "--seeds", "4", "--storage", "storage/two.db", cwd=Path.cwd())
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("[2/"):
            break
    os.killpg(process.pid, blow)
    assert process.wait() != 0
    again = confirmed(invoke, "--seeds", "4", "--storage", "storage/two.db")
    assert again["done"] == again["total"] == 2 * RUNS
    assert scores(again) == reference


@pytest.mark.processes
def test_dask_workers_run_them_too(run_tiny: Invoke, invoke: Invoke) -> None:
    pytest.importorskip("distributed")
    run_tiny("--n-trials", "2")
    reference = confirmed(invoke)
    run_tiny("--n-trials", "2", "--storage", "storage/two.db")
    outcome = invoke(*DASK, "--json", "--storage", "storage/two.db")
    assert "on Dask workers of this machine" in outcome.err
    assert scores(json.loads(outcome.out)) == scores(reference)
    refused = invoke("confirm", *FEW, "--scheduler", "tcp://127.0.0.1:1")
    assert "--scheduler: --engine dask is required with it" in refused.err


@pytest.mark.processes
def test_several_processes_share_the_runs(run_tiny: Invoke, invoke: Invoke, start: Start) -> None:
    run_tiny("--n-trials", "2")
    words = ("confirm", "--top", "2", "--seeds", "4", "--threads", "1", "--n-jobs", "1")
    both = [start(*words, cwd=Path.cwd()) for _ in range(2)]
    outs = [process.stdout.read() for process in both if process.stdout is not None]
    assert [process.wait() for process in both] == [0, 0], outs
    assert len(runs()) == len(set(runs())) == 2 * RUNS
    assert runs("waiting") == runs("running") == runs("fail") == []
    assert all("The winner, trial " in out for out in outs)


def test_on_windows_each_seed_has_a_text_of_its_own(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "2", "--n-jobs", "1")
    found = confirmed(invoke, "--windows")
    assert found["windows"]
    assert (found["done"], found["total"]) == (RUNS, RUNS)
    assert (
        "Each seed read a part of the text of its own" in invoke("confirm", "--windows", *FEW).out
    )
    study = optuna.load_study(study_name="quick/confirm", storage="sqlite:///storage/cvfp.db")
    texts: dict[int, set[str]] = {}
    for one in study.get_trials():
        drift = one.user_attrs["environment"]["drift"]
        texts.setdefault(one.system_attrs["cvfp_opt:arm"]["seed"], set()).add(drift["data_digest"])
    digests = [digest for of_seed in texts.values() for digest in of_seed]
    source = optuna.load_study(study_name="quick", storage="sqlite:///storage/cvfp.db")
    assert len(digests) == 2, "all points of a seed read the same text"
    assert len({*digests, source.user_attrs["cvfp_opt:study"]["data_digest"]}) == 3
    replayed = invoke("trial", "replay", "0", "--study-name", "quick/confirm")
    assert ": identical (" in replayed.out

    outcome = invoke("confirm", *FEW)
    assert outcome.code == 1
    assert "a part of the text of their own" in outcome.err
    assert "add --windows" in outcome.err


def test_windows_need_text_for_each_seed(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "1", "--n-jobs", "1")
    outcome = invoke("confirm", "--windows", "--top", "1", "--seeds", "5000")
    assert outcome.code == 1
    assert "the embedded corpus has " in outcome.err
    assert "type fewer --seeds" in outcome.err
    assert "quick/confirm" not in invoke("study", "list").out
