"""The units are understood by systemd, and what they start tells systemd how it is."""

import os
import re
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from deploy.programs import FILES, call, free_port, program
from processes import Process, fork_python
from running import SLOWER_ARGUMENTS
from support import TINY_ARGUMENTS

UNITS = ["cvfp-opt-serve.service", "cvfp-opt-worker@.service"]
OURS = Path(sys.executable).with_name("cvfp-opt")


def unit(name: str) -> str:
    return (FILES / "systemd" / name).read_text()


def words_of(name: str) -> list[str]:
    """The words of the command that a unit starts, without the program."""
    [line] = re.findall(r"^ExecStart=(.*)$", unit(name), flags=re.MULTILINE)
    path, *words = line.split()
    assert path.endswith("/bin/cvfp-opt")
    return words


@pytest.mark.parametrize("name", UNITS)
def test_systemd_understands_a_unit(name: str, tmp_path: Path) -> None:
    """Of a key that it does not know it only says so, and exits with 0."""
    analyze = program("systemd-analyze")
    known = tmp_path / "bin" / "cvfp-opt"
    known.parent.mkdir()
    shutil.copy(shutil.which("true") or "/bin/true", known)
    written = tmp_path / name
    text = unit(name).replace("/opt/cvfp-opt/bin/cvfp-opt", str(known))
    written.write_text(text)
    outcome = call(analyze, "verify", "--man=no", written)
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "", "")
    written.write_text(text + "[Service]\nWatchdogSeconds=3\n")
    assert re.search("Unknown key.* 'WatchdogSeconds'", call(analyze, "verify", written).stderr)


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_as_closed_as_systemd_can_tell(name: str) -> None:
    path = FILES / "systemd" / name
    outcome = call(program("systemd-analyze"), "security", "--offline=true", path)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", outcome.stdout)
    assert found, outcome.stderr
    assert float(found[1]) < 2.0


@dataclass
class Service:
    """What a unit starts, and what it has told."""

    process: Process
    bound: socket.socket

    def told(self) -> list[str]:
        return self.bound.recv(4096).decode().split("\n")

    def told_next(self, *beside: str) -> list[str]:
        """What it tells next beside its signs of life."""
        while (lines := self.told()) == ["WATCHDOG=1"]:
            pass
        return lines

    def falls_silent(self) -> bool:
        """Whether there is no sign of life any more, but for what was on its way."""
        self.bound.settimeout(0.5)
        try:
            for _ in range(5):
                self.told()
        except TimeoutError:
            return True
        finally:
            self.bound.settimeout(60)
        return False


@pytest.fixture
def bound(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as found:
        found.bind(str(tmp_path / "notify"))
        found.settimeout(60)
        yield found


def started(bound: socket.socket, words: list[str], cwd: Path) -> Service:
    """Start our program as systemd does, with a watchdog that is soon unhappy."""
    environment = os.environ | {
        "NOTIFY_SOCKET": bound.getsockname(),
        "WATCHDOG_USEC": "600000",
        "PYTHONUNBUFFERED": "1",
    }
    return Service(fork_python("-m", "cvfp_opt", *words, cwd=cwd, environment=environment), bound)


def submit(folder: Path) -> None:
    words = ["submit", "quick", *TINY_ARGUMENTS, *SLOWER_ARGUMENTS, "--n-trials", "50"]
    process = fork_python("-m", "cvfp_opt", *words, cwd=folder)
    out, _ = process.communicate(60)
    assert process.returncode == 0, out


@pytest.mark.processes
@pytest.mark.parametrize("name", UNITS)
def test_what_a_unit_starts_tells_how_it_is(
    name: str, bound: socket.socket, tmp_path: Path
) -> None:
    submit(tmp_path)
    words = words_of(name)
    if words[0] == "serve":
        words[words.index("--port") + 1] = str(free_port())
    if words[0] == "worker":
        words[words.index("--threads") + 1] = "1"
    service = started(bound, words, tmp_path)
    try:
        ready, status = service.told_next()
        assert ready == "READY=1"
        assert status.startswith("STATUS=serves ")
        for _ in range(3):
            assert service.told() == ["WATCHDOG=1"]
        os.kill(service.process.pid, signal.SIGSTOP)  # one that hangs
        assert service.falls_silent()
        os.kill(service.process.pid, signal.SIGCONT)
        assert service.told() == ["WATCHDOG=1"]
        os.kill(service.process.pid, signal.SIGTERM)
        assert service.told_next()[0] == "STOPPING=1"
        out, _ = service.process.communicate(60)
    finally:
        service.process.kill()
    assert "Traceback" not in out
    assert f"SuccessExitStatus={service.process.returncode}" in unit(name).splitlines()


@pytest.mark.processes
def test_several_processes_of_a_worker_are_one_to_systemd(
    bound: socket.socket, tmp_path: Path
) -> None:
    submit(tmp_path)
    service = started(bound, ["worker", "--n-jobs", "2", "--threads", "2"], tmp_path)
    try:
        assert service.told_next()[0] == "READY=1"
        assert service.told() == ["WATCHDOG=1"]
        os.kill(service.process.pid, signal.SIGTERM)
        assert service.told_next()[0] == "STOPPING=1"
        service.process.communicate(60)
    finally:
        service.process.kill()
    assert service.process.returncode == 143
