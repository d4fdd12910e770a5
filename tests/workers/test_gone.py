"""A database file or a study that goes away under real workers."""

from pathlib import Path

import pytest
from optuna.trial import TrialState
from running import DATABASE, SLOW_JOBS, SLOWER_ARGUMENTS, TWO_JOBS, end_of, states, wait_for_trial
from support import Start

MOVED = Path("moved.db")
# Of some tenths of a second each.
JOBS = [*TWO_JOBS, *SLOWER_ARGUMENTS, "--set", "training.num_iterations=10", "--n-trials", "3"]


def check_moved(words: list[str], start: Start) -> None:
    process = start(*words, cwd=Path.cwd())
    wait_for_trial(process)
    DATABASE.rename(MOVED)
    code, out = end_of(process)
    assert code == 1
    where = MOVED.absolute()
    assert f"was moved to {where} while it was in use, with all that was written" in out
    assert f"type the same command again with --storage {where}" in out
    assert not DATABASE.exists()
    assert list(Path("storage/unsent").glob("*.json"))
    code, out = end_of(start(*words, "--n-jobs", "1", "--storage", str(MOVED), cwd=Path.cwd()))
    assert code == 0, out
    assert "kept result written to the database" in out
    assert list(Path("storage/unsent").glob("*.json")) == []
    MOVED.rename(DATABASE)
    assert states() == [TrialState.COMPLETE] * 3


@pytest.mark.processes
def test_of_two_processes_each_keeps_what_it_has(start: Start) -> None:
    check_moved(JOBS, start)


@pytest.mark.processes
def test_a_study_that_is_deleted_under_two_processes_is_told_in_a_line(start: Start) -> None:
    process = start(*SLOW_JOBS, cwd=Path.cwd())
    wait_for_trial(process)
    deleted = start("study", "delete", "quick", "--yes", "--force", cwd=Path.cwd())
    assert end_of(deleted)[0] == 0
    code, out = end_of(process)
    assert code == 1, out
    assert "somebody has deleted it" in out
    assert "bug" not in out


@pytest.mark.slow
def test_so_do_workers_of_dask(start: Start) -> None:
    pytest.importorskip("distributed")
    check_moved([*JOBS, "--engine", "dask"], start)
