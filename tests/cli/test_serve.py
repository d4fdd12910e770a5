"""``serve``: what it prints, refuses, and how it ends."""

import json
import os
import re
import signal
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import Process
from support import Outcome, Start

Invoke = Callable[..., Outcome]
NO_RUN = "waitress.server.BaseWSGIServer.run"


def line(process: Process) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_prints_the_address_and_stops_in_a_line(
    start: Start, tmp_path: Path, signum: int, code: int
) -> None:
    process = start("serve", "--port", "0", cwd=tmp_path)
    found = re.fullmatch(
        r"queue, dashboard and API of sqlite:///storage/cvfp\.db: (http://127\.0\.0\.1:\d+)/",
        line(process),
    )
    assert found
    assert line(process) == "stop with ^C"
    with urllib.request.urlopen(f"{found[1]}/api/v1/queue", timeout=20) as answer:
        assert json.load(answer) == []
    with urllib.request.urlopen(f"{found[1]}/dashboard", timeout=20) as answer:
        assert answer.status == 200
    os.killpg(process.pid, signum)
    out, _ = process.communicate(timeout=20)
    assert (out, process.returncode) == ("stopped\n", code)


def test_from_elsewhere_a_token_is_asked_for(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NO_RUN, lambda self: None)
    none = "a token is asked for, and there is none yet: `cvfp-opt token add NAME`\n"
    for words in (
        ("--host", "0.0.0.0"),
        ("--allow-host", "lab.example"),
        ("--base-path", "/cvfp"),
    ):
        outcome = invoke("serve", "--port", "0", *words)
        assert outcome.code == 0
        assert none in outcome.out
        assert "nothing is encrypted on the way" in outcome.out
    assert re.search(r"http://127\.0\.0\.1:\d+/cvfp/\n", outcome.out)
    invoke("token", "add", "alice")
    assert none not in invoke("serve", "--port", "0", "--host", "0.0.0.0").out
    assert "encrypted" not in invoke("serve", "--port", "0").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--allow-host", "http://lab.example"), "--allow-host http://lab.example: the name of"),
        (("--base-path", "cvfp"), "--base-path cvfp: a path is required that begins with a slash"),
        (("--base-path", "/a/../b"), "--base-path /a/../b: a path is required"),
        (("--host", "192.0.2.1"), "--host 192.0.2.1: an address of this machine is required"),
        (("--storage", "redis://x"), "redis"),
    ],
)
def test_what_cannot_be_served_is_one_line(
    invoke: Invoke, words: tuple[str, ...], said: str
) -> None:
    outcome = invoke("serve", "--port", "0", *words)
    assert (outcome.code, outcome.out) == (1, "")
    assert said in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_port_in_use_is_told_in_a_line(invoke: Invoke) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        outcome = invoke("serve", "--port", str(port))
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith(f"Error: --port {port}: another program listens there")
