"""Real processes, real signals: a stopped search loses nothing and changes nothing."""

import contextlib
import os
import signal
import sqlite3
import time
from pathlib import Path

import optuna
import pytest
from support import TINY_ARGUMENTS, Start

from cvfp_opt.tuning import stopping
from cvfp_opt.tuning.stopping import SearchStopped, StopRequest

TRIALS = 5
# Long enough that a signal sent while a trial reports still meets that trial.
SLOWER = [
    "training.num_iterations=30",
    "training.minibatch_size=64",
    "data.train_tokens=256",
    "model.num_layers=3",
    "training.min_converged_ratio=1.0",
]
WORDS = [
    "run",
    "quick",
    *TINY_ARGUMENTS,
    *[word for setting in SLOWER for word in ("--set", setting)],
    *["--set", "search.num_startup_trials=3", "--set", "search.num_pruner_startup_trials=2"],
    *["--threads", "1", "--n-trials", str(TRIALS)],
]


def trials_of(folder: Path) -> list[dict[str, object]]:
    """All that must not depend on how often the search was stopped."""
    study = optuna.load_study(
        study_name="quick", storage=f"sqlite:///{folder / 'storage' / 'cvfp.db'}"
    )
    kept = ("status", "reason", "metrics", "iterations")
    return [
        {
            "number": t.number,
            "state": t.state,
            "params": t.params,
            "values": t.values,
            "intermediate_values": t.intermediate_values,
            "weights": t.user_attrs["environment"]["weights_digest"],
            **{key: t.user_attrs[key] for key in kept},
        }
        for t in study.trials
    ]


def run_whole(start: Start, folder: Path) -> str:
    folder.mkdir(exist_ok=True)
    process = start(*WORDS, cwd=folder)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    return out


def run_into_trial(
    start: Start, folder: Path, number: int, signum: signal.Signals
) -> tuple[int, str]:
    """Send ``signum`` in the middle of trial ``number``; exit code and output."""
    folder.mkdir(exist_ok=True)
    process = start(*WORDS, cwd=folder)
    database = folder / "storage" / "cvfp.db"
    query = (
        "SELECT count(*) FROM trials JOIN trial_intermediate_values USING (trial_id) "
        "WHERE number = ? AND state = 'RUNNING'"
    )
    while process.poll() is None:
        with contextlib.suppress(sqlite3.OperationalError):  # not created yet
            connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)
            with contextlib.closing(connection):
                if connection.execute(query, (number,)).fetchone()[0]:
                    process.send_signal(signum)
                    break
        time.sleep(0.005)  # asks again; leaves the processor to the search
    out, _ = process.communicate(timeout=60)
    return process.returncode, out


@pytest.mark.processes
def test_a_search_stopped_by_each_signal_equals_the_uninterrupted_one_and_stays(
    tmp_path: Path, start: Start
) -> None:
    run_whole(start, tmp_path / "whole")
    broken = tmp_path / "broken"
    code, out = run_into_trial(start, broken, 0, signal.SIGINT)
    assert (code, "stopped after 0 of 5 trials; nothing is lost" in out) == (130, True)
    code, out = run_into_trial(start, broken, 1, signal.SIGTERM)
    assert (code, "cvfp-opt run --study-name quick --n-trials 5" in out) == (143, True)
    code, _ = run_into_trial(start, broken, 3, signal.SIGKILL)
    assert code == -signal.SIGKILL
    # and from a copy of the database, as on another machine
    moved = tmp_path / "moved"
    moved.mkdir()
    (broken / "storage").rename(moved / "storage")
    assert "trial 3 was left by a dead worker: it goes on here" in run_whole(start, moved)
    assert trials_of(moved) == trials_of(tmp_path / "whole")

    again = run_whole(start, moved)
    assert "The best" in again
    assert not [line for line in again.splitlines() if line.startswith("[")]
    assert trials_of(moved) == trials_of(tmp_path / "whole")


def test_sigterm_that_comes_twice_at_once_is_one_and_later_it_stops_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notified: list[bool] = []
    with StopRequest(lambda: notified.append(True)) as stop:
        for _ in range(2):  # to the process, and to its group
            os.kill(os.getpid(), signal.SIGTERM)
        assert notified == [True]
        with pytest.raises(SearchStopped):
            stop.check()
        monkeypatch.setattr(stopping, "_ECHO_SECONDS", 0.0)
        with pytest.raises(SearchStopped):
            os.kill(os.getpid(), signal.SIGTERM)
    with StopRequest(lambda: None):
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(SearchStopped):  # somebody has typed ^C twice
            os.kill(os.getpid(), signal.SIGINT)
