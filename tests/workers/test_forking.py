"""Worker processes forked from a server: like the parent, and nothing of the server's."""

import os
import signal
import subprocess
import sys
import time
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import psutil
import pytest
from forked import act_in_server, describe
from processes import fork_python
from support import TINY_ARGUMENTS

from cvfp_opt.workers.forking import can_fork, start_worker


def described(*, fork: bool = True) -> dict[str, Any]:
    """What a worker started here tells of itself."""
    ours, theirs = Pipe()
    process = start_worker(describe, theirs, fork=fork, given_up=lambda: False)
    theirs.close()
    found: dict[str, Any] = ours.recv()
    assert process is not None
    process.join()
    assert process.exitcode == 0
    return found


needs_forks = pytest.mark.skipif(not can_fork("cpu"), reason="workers are spawned here")


@needs_forks
def test_a_worker_is_like_its_parent_at_its_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    first = described()
    assert "a worker prints" in capfd.readouterr().out
    monkeypatch.setenv("CVFP_OPT_TEST", "1")
    monkeypatch.delenv("PATH")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir("/")
    second = described()
    assert "a worker prints" in capfd.readouterr().out
    assert first["server"] == second["server"]
    assert second["environment"] == dict(os.environ)
    assert second["folder"] == "/"
    assert second["path"] == sys.path
    assert first["drawn"] != second["drawn"]


@needs_forks
def test_the_server_has_done_nothing_that_a_fork_does_not_survive() -> None:
    found = described()
    assert found["preloaded"]
    assert found["threads"] == 1
    assert not found["cuda"]
    assert found["server_threads"] == 1  # numpy's OpenBLAS ends its own before a fork
    assert found["server_streams"] == [os.devnull] * 3
    assert {signal.SIGINT, signal.SIGTERM} <= found["blocked"]


def test_a_worker_is_spawned_where_forks_are_not_safe(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert not can_fork("cuda")
    found = described(fork=False)
    assert "a worker prints" in capfd.readouterr().out
    assert int(found["server"]) == os.getpid()
    assert os.environ.items() <= found["environment"].items()  # Python may add LC_CTYPE
    assert signal.SIGINT in found["blocked"]


@needs_forks
def test_a_server_that_was_killed_is_started_again() -> None:
    before = psutil.Process(int(described()["server"]))
    before.kill()
    while before.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert int(described()["server"]) != before.pid


# On a machine without a GPU, too: who asks for one starts its driver.
ASKING = """
import torch

def refuse(*words):
    raise AssertionError("the server asks for a GPU")

for name in ("is_available", "device_count", "current_device", "_lazy_init"):
    setattr(torch.cuda, name, refuse)
import cvfp_opt.workers.preload
assert not torch.cuda.is_initialized()
"""


def test_the_server_asks_for_no_gpu() -> None:
    done = subprocess.run([sys.executable, "-c", ASKING], check=False)
    assert done.returncode == 0


@needs_forks
def test_the_server_takes_no_module_from_the_current_folder(tmp_path: Path) -> None:
    """By the console script, which does not take any from there either."""
    for name in ("queue", "numbers", "optuna", "torch"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    script = Path(sys.executable).with_name("cvfp-opt")
    words = [*TINY_ARGUMENTS, "--threads", "2", "--n-jobs", "2", "--n-trials", "2"]
    done = subprocess.run(
        [script, "run", "quick", *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "2 processes of 1 thread" in done.stdout


# As a signal does that comes while the server imports.
GIVING_UP = """
import signal
from cvfp_opt.workers.forking import start_worker

signals = []
signal.signal(signal.SIGALRM, lambda *words: signals.append(words))
signal.setitimer(signal.ITIMER_REAL, 0.2)
assert start_worker(print, fork=True, given_up=lambda: bool(signals)) is None
"""


@needs_forks
def test_nobody_waits_for_the_imports_of_the_server_who_has_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    act_in_server("time.sleep(1000)", monkeypatch)
    process = fork_python("-c", GIVING_UP, cwd=tmp_path)
    try:
        assert process.wait(60) == 0
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
