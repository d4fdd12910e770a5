"""Other people's programs for tests: found or the test skipped, started, waited for, ended."""

import json
import os
import pwd
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support import REPOSITORY

FILES = REPOSITORY / "docs" / "deploy"
_PLACES = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
PATIENCE = 60.0


def program(name: str) -> str:
    """The path of a program; a test that finds none is skipped."""
    found = shutil.which(name, path=_PLACES)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def wait_for(met: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """Ask until something is so, for what tells nobody; what was answered."""
    end = time.monotonic() + seconds
    while not (answer := met()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)
    return answer


def get(url: str, **headers: str) -> tuple[int, bytes]:
    """Status and body; (0, reason) where nobody answers."""
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
    except OSError as error:
        return 0, str(error).encode()


def get_json(url: str) -> Any:
    status, body = get(url)
    assert status == 200, (url, status, body)
    return json.loads(body)


def answers(url: str) -> Callable[[], bool]:
    """Whether something answers there, with success."""
    return lambda: 200 <= get(url)[0] < 400


@contextmanager
def running(
    *words: str | Path,
    cwd: Path,
    ready: Callable[[], Any],
    environment: Mapping[str, str] | None = None,
    user: str | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A program while it runs; what it prints is shown where it never was ready.

    Args:
        words: of its command line.
        cwd: its folder.
        ready: asked until it says so.
        environment: variables beside this process's.
        user: who runs it, if it refuses the superuser and this one is.
    """
    name = Path(str(words[0])).name
    log = cwd / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(word) for word in words],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | dict(environment or {}),
            **_as_user(user),
        )
    try:

        def met() -> Any:
            assert process.poll() is None, f"{name} has ended:\n{log.read_text()}"
            return ready()

        try:
            wait_for(met, f"{name} is ready")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{log.read_text()}") from None
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)


def _as_user(user: str | None) -> dict[str, Any]:
    if user is None or os.geteuid() != 0:
        return {}
    who = pwd.getpwnam(user)
    return {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": ()}


def call(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(
        [str(word) for word in words], cwd=cwd, capture_output=True, text=True, timeout=300
    )
