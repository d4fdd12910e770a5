"""``study pause``, ``resume``, ``cancel``, ``set``, and what others then say."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from running import SLOW_JOBS, end_of, states, wait_for_trial
from support import TINY_ARGUMENTS, Outcome, Start

Invoke = Callable[..., Outcome]


def test_a_paused_study_is_not_run_and_says_so_everywhere(
    run_tiny: Invoke, invoke: Invoke
) -> None:
    run_tiny("--n-trials", "2", "--n-jobs", "1")
    assert (
        invoke("study", "set", "quick", "--n-trials", "3").out
        == "study quick is set: n-trials 3\n"
    )
    out = invoke("study", "pause", "quick").out
    assert out == "study quick is paused; to go on, type `cvfp-opt study resume quick`\n"
    again = invoke("run", "quick", *TINY_ARGUMENTS, "--n-trials", "3")
    assert again.code == 1
    assert (
        "study 'quick' is paused: no trial begins in it; type `cvfp-opt study resume" in again.err
    )
    status = invoke("status").out
    assert "trials: 2 of 3: 2 complete" in status
    assert "paused: no trial begins; to go on, type `cvfp-opt study resume quick`" in status
    assert "quick (paused)" in invoke("list").out
    shown = json.loads(invoke("status", "--json").out)
    assert (shown["state"], shown["total"]) == ("paused", 3)
    resumed = invoke("study", "resume", "quick").out
    assert resumed.startswith("study quick is open; to run its trials, type `cvfp-opt run ")
    assert run_tiny().code == 0  # to its own total
    assert "trials: 3 of 3: 3 complete" in invoke("status").out


def test_what_cannot_be_is_one_line(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "2", "--n-jobs", "1")
    for words, said in (
        (("set", "quick", "--n-trials", "1"), "a total of at least 2 is required"),
        (("pause", "quick"), "study 'quick' is done, 2 of 2 trials: there is nothing to pause"),
        (("cancel", "quick"), "there is nothing to cancel"),
        (("resume", "quik"), "there is no study 'quik'; did you mean 'quick'"),
    ):
        outcome = invoke("study", *words)
        assert outcome.code == 1
        assert said in outcome.err
        assert outcome.err.count("\n") == 1


@pytest.mark.processes
def test_workers_that_run_heed_a_pause(start: Start, invoke: Invoke) -> None:
    process = start(*SLOW_JOBS, cwd=Path.cwd())
    wait_for_trial(process)
    out = invoke("study", "pause", "quick", "--now").out
    assert "study quick is paused; given back: trial" in out
    code, said = end_of(process)
    assert code == 0, said
    assert "the study is paused: no further trial begins" in said
    assert "RUNNING" not in {state.name for state in states()}
    assert invoke("study", "resume", "quick").code == 0
    code, said = end_of(start(*SLOW_JOBS, cwd=Path.cwd()))
    assert code == 0, said
    assert len(states()) == 5
