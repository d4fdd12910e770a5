"""``submit``, ``worker`` and ``queue``: studies for workers that stay, killed, drained, told."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from processes import Process
from running import end_of, read_until
from support import TINY_ARGUMENTS, Outcome, Start

from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.store.database.storage import open_for_reading
from cvfp_opt.store.queue.overview import Stage, read_queue

Cvfp = Callable[..., Outcome]
# Long enough that what is typed meanwhile meets the running trial; ENDLESS where none has to end.
LONG = ["--set", "training.num_iterations=200", "--set", "training.min_converged_ratio=0"]
LONG += ["--set", "search.pruner=none"]
ENDLESS = [*LONG, "--set", "training.num_iterations=20000"]


def submit(invoke: Cvfp, name: str, *words: str) -> None:
    done = invoke("submit", "quick", "--study-name", name, *TINY_ARGUMENTS, *words)
    assert done.code == 0, done.err


def printed(invoke: Cvfp, *words: str) -> Any:
    done = invoke(*words, "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def counts() -> dict[str, dict[str, int]]:
    with open_for_reading(resolve_location(None)) as store:
        return {study.name: dict(study.counts) for study in read_queue(store)}


def test_what_is_submitted_is_run_by_a_worker_and_the_queue_tells(invoke: Cvfp) -> None:
    submit(invoke, "a", "--n-trials", "2", "--tag", "paper")
    submit(invoke, "b", "--n-trials", "1", "--priority", "1")
    assert invoke("queue").out.splitlines() == [
        "study  state    trials  running on  owner  priority  weight  tags",
        f"b      waiting  0 of 1  -           {owner():<5}         1       1  -",
        f"a      waiting  0 of 2  -           {owner():<5}         0       1  paper",
        "b waits: there is no worker: `cvfp-opt worker` starts one",
        "a waits: there is no worker: `cvfp-opt worker` starts one",
        "",
        "workers: none",
    ]
    done = invoke("worker", "--until-idle", "--device", "cpu")
    assert done.code == 0
    lines = done.out.splitlines()
    assert [line.split()[:3] for line in lines if "[" in line] == [
        ["b", "[1/1]", "trial"],
        ["a", "[1/2]", "trial"],
        ["a", "[2/2]", "trial"],
    ]
    assert lines[-1] == "the worker has left"
    assert invoke("queue").out == "workers: none\n2 more are done or cancelled: --all\n"
    found = printed(invoke, "queue")
    assert [(one["study"], one["stage"], one["finished"]) for one in found] == [
        ("b", Stage.DONE, 1),
        ("a", Stage.DONE, 2),
    ]


def owner() -> str:
    from cvfp_opt.store.record.owner import this_owner

    return this_owner()


def test_a_worker_is_listed_drained_and_says_that_it_left(invoke: Cvfp, start: Start) -> None:
    submit(invoke, "a", "--n-trials", "300", *ENDLESS)
    worker = start("worker", "--n-jobs", "1", "--device", "cpu", "--health", "0", cwd=Path.cwd())
    assert "/livez" in read_until(worker, "serving study a")
    wait_for_running(worker)
    [listed] = printed(invoke, "worker", "list")
    assert (listed["study"], listed["state"]) == ("a", "running")
    assert listed["worker"][:8] in invoke("worker", "list").out
    [entry] = printed(invoke, "queue")
    assert [one["worker"] for one in entry["running"]] == [listed["worker"]]
    done = invoke("worker", "drain", listed["worker"][:6], "--within", "0")
    assert done.out.endswith("or gives them back after 0 s\n")
    code, out = end_of(worker)
    assert (code, out.splitlines()[-1]) == (0, "the worker has left")
    assert counts()["a"]["waiting"] == 1  # with its checkpoint
    assert "running" not in counts()["a"]
    assert printed(invoke, "worker", "list") == []


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_stopped_by_a_signal_it_gives_its_trial_back(
    signum: int, invoke: Cvfp, start: Start
) -> None:
    submit(invoke, "a", "--n-trials", "3", *ENDLESS)
    worker = start("worker", "--n-jobs", "1", "--device", "cpu", cwd=Path.cwd())
    read_until(worker, "serving study a")
    wait_for_running(worker)
    os.kill(worker.pid, signum)
    code, out = end_of(worker)
    assert code == 128 + signum
    assert "stopping: giving the running trials back" in out
    assert counts()["a"] == {"waiting": 1}
    assert printed(invoke, "worker", "list") == []


def wait_for_running(worker: Process) -> None:
    while (found := counts()["a"]).get("running", 0) == 0:
        assert worker.poll() is None
        assert "complete" not in found, "the trial has ended before anybody saw it run"
        time.sleep(0.02)


def test_a_killed_worker_is_gone_and_another_one_goes_on_with_its_trial(
    invoke: Cvfp, start: Start
) -> None:
    submit(invoke, "a", "--n-trials", "1", *LONG)
    worker = start("worker", "--n-jobs", "1", "--device", "cpu", cwd=Path.cwd())
    read_until(worker, "serving study a")
    wait_for_running(worker)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    [gone] = printed(invoke, "worker", "list")
    assert gone["state"] == "gone"
    refused = invoke("worker", "stop", gone["worker"])
    assert (refused.code, "is gone" in refused.err) == (1, True)
    done = invoke("worker", "--until-idle", "--device", "cpu")
    assert "trial 0 was left by a dead worker: it goes on here" in done.out
    assert counts()["a"] == {"complete": 1}


@pytest.mark.processes
def test_several_processes_share_the_queue_and_one_that_dies_is_replaced(
    invoke: Cvfp, start: Start
) -> None:
    submit(invoke, "a", "--n-trials", "4", *LONG)
    submit(invoke, "b", "--n-trials", "4")
    command = ["worker", "--threads", "2", "--n-jobs", "2", "--device", "cpu", "--until-idle"]
    worker = start(*command, cwd=Path.cwd())
    begin = read_until(worker, "serving study a")  # b may be served before
    wait_for_running(worker)
    os.kill(printed(invoke, "worker", "list")[0]["pid"], signal.SIGKILL)
    code, out = end_of(worker)
    assert code == 0
    assert "was killed by SIGKILL (exit status -9); what it ran is taken over" in out
    notes = [line for line in (begin + out).splitlines() if ", note: " in line]
    assert {line.split(",")[0] for line in notes} == {"study a", "study b"}
    assert len(notes) == len(set(notes)), "one that both workers would say"
    assert counts() == {"a": {"complete": 4}, "b": {"complete": 4}}


@pytest.mark.processes
def test_a_worker_whose_parent_is_killed_gives_its_trial_back(invoke: Cvfp, start: Start) -> None:
    submit(invoke, "a", "--n-trials", "4", *ENDLESS)
    worker = start("worker", "--threads", "2", "--n-jobs", "2", "--device", "cpu", cwd=Path.cwd())
    read_until(worker, "serving study a")
    wait_for_running(worker)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    while printed(invoke, "worker", "list"):
        pass
    assert counts()["a"].get("running", 0) == 0


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["worker"], "there is no study database"),
        (["worker", "--hours", "nine"], 'hours: "18-08 Mon-Fri" (from 18:00 to 8:00'),
        (["worker", "drain", "ff"], "there is no study database"),
        (["submit", "nosuch"], "nosuch"),
        (["submit", "quick", "--weight", "0"], "weight: a number from 0.001 to 1000"),
        (["queue"], "there is no study database"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_made(
    words: list[str], text: str, invoke: Cvfp
) -> None:
    done = invoke(*words)
    assert (done.code, done.out) == (1, "")
    [line] = done.err.splitlines()
    assert text in line
    assert not Path("storage").exists() or not list(Path("storage").glob("*.db"))


def test_a_worker_that_does_not_exist_and_a_pause_of_what_is_done(invoke: Cvfp) -> None:
    submit(invoke, "a", "--n-trials", "1")
    done = invoke("worker", "stop", "ff")
    assert done.err == (
        "Error: there is no worker with an id that begins with 'ff'; "
        "`cvfp-opt worker list` shows them\n"
    )
    invoke("worker", "--until-idle", "--device", "cpu")
    assert "is done, 1 of 1 trials: there is nothing to pause" in invoke("study", "pause", "a").err
    refused = invoke(
        "study", "set", "a", "--n-trials", "1", "--no", "until", "--until", "2030-01-01"
    )
    assert (refused.code, "--no until: it is set, too" in refused.err) == (2, True)
