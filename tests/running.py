"""A search that runs in another process, seen from outside: its output and its database."""

import os
import signal
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import optuna
from optuna.trial import TrialState
from processes import Process
from support import TINY_ARGUMENTS

DATABASE = Path("storage") / "cvfp.db"
TWO_JOBS = ["run", "quick", *TINY_ARGUMENTS, "--threads", "2", "--n-jobs", "2"]
# Long enough that a signal sent while a trial reports still meets that trial.
SLOWER = [
    "training.num_iterations=30",
    "data.train_tokens=256",
    "model.num_layers=3",
    "training.min_converged_ratio=1.0",
    "search.pruner=none",
]
SLOWER_ARGUMENTS = [word for setting in SLOWER for word in ("--set", setting)]
SLOW_JOBS = [*TWO_JOBS, *SLOWER_ARGUMENTS, "--n-trials", "5"]


def trials() -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="quick", storage=f"sqlite:///{DATABASE}").trials


def states() -> list[TrialState]:
    return [trial.state for trial in trials()]


def finished_lines(out: str) -> list[str]:
    return [line for line in out.splitlines() if line.startswith("[")]


def read_until(process: Process, text: str) -> str:
    """What it prints, up to the first line that has ``text``."""
    assert process.stdout is not None
    read = ""
    for line in process.stdout:
        read += line
        if text in line:
            return read
    raise AssertionError(f"ended without {text!r}:\n{read}")


def wait_for_trial(process: Process) -> int:
    """Wait until a trial is well under way; the process that runs it."""
    query = (
        "SELECT pid FROM trials JOIN cvfp_opt_leases USING (trial_id) "
        "JOIN trial_intermediate_values USING (trial_id) "
        "WHERE state = 'RUNNING'"
    )
    while process.poll() is None:
        with suppress(sqlite3.OperationalError):  # not created yet
            connection = sqlite3.connect(f"{DATABASE.absolute().as_uri()}?mode=ro", uri=True)
            with closing(connection):
                row = connection.execute(query).fetchone()
                if row is not None:
                    return int(row[0])
        time.sleep(0.005)  # asks again; leaves the processor to the search
    raise AssertionError("no trial was met")


def kill_in_trial(process: Process) -> int:
    """Kill a process while it runs a trial, and not a moment after that has ended; its pid."""
    query = "SELECT pid FROM trials JOIN cvfp_opt_leases USING (trial_id) WHERE state = 'RUNNING'"
    while True:
        pid = wait_for_trial(process)
        os.kill(pid, signal.SIGSTOP)
        uri = f"{DATABASE.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            if (pid,) in connection.execute(query).fetchall():
                os.kill(pid, signal.SIGKILL)
                return pid
        os.kill(pid, signal.SIGCONT)


def end_of(process: Process) -> tuple[int, str]:
    """Exit code and the rest of the output."""
    out, _ = process.communicate(timeout=120)
    assert "Traceback" not in out
    return process.returncode, out
