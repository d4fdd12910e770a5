"""Scripts that search: stopped by signals, without a guarded main module, under an event loop."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from api.conftest import tiny_values

import cvfp_opt as cv

pytestmark = pytest.mark.processes
SEARCH = """
import cvfp_opt as cv
plan = cv.define("quick").set({values!r})
workers = cv.Workers(n_jobs=2, threads=2)
study = cv.search(plan, n_trials={total}, storage="a.db", workers=workers, progress=True)
print("searched", len(study))
"""
LOOP = """
import asyncio
import cvfp_opt as cv
plan = cv.define("quick").set({values!r})
async def main():
    workers = cv.Workers(n_jobs=2, threads=2)
    study = cv.search(plan, n_trials=2, storage="a.db", workers=workers, progress=False)
    print("searched", len(study), [trial.number for trial in study.more(2, workers=workers)])
asyncio.run(main())
"""
LONG = {
    # so that a signal meets a trial, and not the moment between two
    "training.num_iterations": 400,
    "training.min_converged_ratio": 1.0,
    "search.pruner": "none",
}


def start(script: str, total: int = 4, **more: Any) -> "subprocess.Popen[str]":
    """Start a script as a user would."""
    Path("script.py").write_text(script.format(values=tiny_values() | more, total=total))
    return subprocess.Popen(
        [sys.executable, "-u", "script.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("script", [SEARCH, LOOP])
def test_workers_do_not_run_a_script_without_a_guard(script: str) -> None:
    process = start(script)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert out.count("searched") == 1
    counts = cv.open(storage="a.db").counts
    assert counts["complete"] + counts["pruned"] == 4


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_gives_the_running_trials_back(signum: signal.Signals) -> None:
    process = start(SEARCH, 50, **LONG)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("[1/50]"):
            break
    process.send_signal(signum)
    out, _ = process.communicate(timeout=120)
    if signum is signal.SIGINT:
        assert "KeyboardInterrupt: stopped after" in out
        assert "nothing is lost: the same call goes on" in out
    else:
        assert process.returncode == 128 + signum, out
    counts = cv.open(storage="a.db").counts
    assert counts["running"] == counts["fail"] == 0
    assert counts["waiting"] >= 1
