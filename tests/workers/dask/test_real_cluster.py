"""The Dask engine on a real cluster of this machine."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from optuna.trial import TrialState
from running import (
    TWO_JOBS,
    end_of,
    finished_lines,
    read_until,
    states,
    trials,
    wait_for_trial,
)
from support import TINY_ARGUMENTS, Outcome, Start

pytest.importorskip("distributed")

from distributed import LocalCluster

from cvfp_opt.store.database.location import Location
from cvfp_opt.workers.dask.cluster import start_local

Invoke = Callable[..., Outcome]


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    """A Dask cluster of the user's, with one worker so far."""
    with LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50
    ) as cluster:
        yield cluster


# Trials go on for a minute as long as there is a file "slow", and end in a moment without.
LOSS = """
import time
from pathlib import Path
from cvfp_opt.model.diversity import orthogonality

def loss(contexts, running_mean):
    if Path("slow").exists():
        time.sleep(0.4)
    return orthogonality(contexts, running_mean)
"""
PACED = [
    "diversity.loss=mine:loss",
    "training.num_iterations=40",
    "training.min_converged_ratio=1.0",
    "search.pruner=none",
]


def on(cluster: LocalCluster) -> list[str]:
    settings = [word for setting in PACED for word in ("--set", setting)]
    run = ["run", "quick", *TINY_ARGUMENTS, *settings, "--n-trials", "4"]
    return [*run, "--engine", "dask", "--scheduler", cluster.scheduler_address]


@pytest.mark.processes
def test_workers_come_die_and_retire_and_the_total_stays_exact(
    cluster: LocalCluster, start: Start, invoke: Invoke
) -> None:
    Path("mine.py").write_text(LOSS)
    Path("slow").touch()
    process = start(*on(cluster), cwd=Path.cwd())
    read_until(process, "1 of 1 Dask workers search: 1 with 1 thread")
    cluster.scale(2)
    read_until(process, "2 of 2 Dask workers search: 2 with 1 thread")
    os.kill(wait_for_trial(process), signal.SIGKILL)
    out = read_until(process, " died")
    assert out.splitlines()[-1].startswith("Dask worker")
    out += read_until(process, "2 of 2 Dask workers search")
    taken_over = "was left by a dead worker: it goes on here"
    if taken_over not in out:  # in whatever order
        read_until(process, taken_over)
    cluster.scale(1)
    out = read_until(process, "retires")
    assert "retires and gave it back" in out.splitlines()[-1]
    wait_for_trial(process)
    process.send_signal(signal.SIGINT)
    code, out = end_of(process)
    assert code == 130, out
    assert "; nothing is lost\n" in out
    assert "to go on:" in out
    assert "cvfp-opt run --study-name quick" in out
    assert TrialState.WAITING in states()
    assert TrialState.RUNNING not in states()

    process = start(*on(cluster), cwd=Path.cwd())
    wait_for_trial(process)
    process.kill()  # nobody tells the tasks; Dask forgets them
    end_of(process)
    while TrialState.RUNNING in states():
        time.sleep(0.05)

    Path("slow").unlink()
    outcome = invoke(*on(cluster))
    assert outcome.code == 0, outcome.err
    assert states() == [TrialState.COMPLETE] * 4
    assert "[4/4]" in finished_lines(outcome.out)[-1]


@pytest.mark.processes
def test_without_a_scheduler_a_cluster_of_our_own_runs_the_trials(invoke: Invoke) -> None:
    outcome = invoke(*TWO_JOBS, "--engine", "dask", "--n-trials", "6")
    assert outcome.code == 0, outcome.err
    assert "on Dask workers of this machine" in outcome.out
    assert "2 of 2 Dask workers search: 2 with 1 thread" in outcome.out
    found = trials()
    assert [t.state for t in found] == [TrialState.COMPLETE] * 6
    assert {t.user_attrs["environment"]["threads"] for t in found} == {1}
    children = psutil.Process().children(recursive=True)
    assert not [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    again = invoke(*TWO_JOBS, "--engine", "dask", "--n-trials", "6")
    assert again.code == 0
    assert "Dask workers search" not in again.out


@pytest.mark.processes
def test_a_cluster_of_our_own_leaves_an_interrupt_to_us_and_can_be_killed() -> None:
    cluster = start_local(1, 1, Location.of_file(Path("x.db")))
    try:
        [member] = cluster.members()
        [pid] = cluster.ask([member.address], os.getpid).values()
        blocked = cluster.ask([member.address], signal.pthread_sigmask, signal.SIG_BLOCK, [])
        assert signal.SIGINT in blocked[member.address]
        cluster.call_later(member.address, time.sleep, 60)
        cluster.kill()
        assert not psutil.pid_exists(pid)
    finally:
        cluster.close()
