"""``dashboard``: what it prints, refuses, and how it ends."""

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

pytestmark = pytest.mark.usefixtures("figures")
Invoke = Callable[..., Outcome]


def line(process: Process) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_prints_the_address_and_stops_in_a_line(
    run_tiny: Invoke, start: Start, tmp_path: Path, signum: int, code: int
) -> None:
    run_tiny("--n-trials", "2")
    process = start("dashboard", "--port", "0", "--read-only", cwd=tmp_path)
    found = re.fullmatch(
        r"study quick: (http://127\.0\.0\.1:\d+)/dashboard/studies/1", line(process)
    )
    assert found
    assert line(process) == "stop with ^C"
    with urllib.request.urlopen(f"{found[1]}/api/studies/1", timeout=20) as answer:
        assert answer.status == 200
    os.killpg(process.pid, signum)
    out, _ = process.communicate(timeout=20)
    assert (out, process.returncode) == ("stopped\n", code)


def test_a_port_in_use_is_told_in_a_line(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--timeout", "0")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        outcome = invoke("dashboard", "--port", str(port))
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith(f"Error: --port {port}: another program listens there")
    assert outcome.err.count("\n") == 1


def test_other_hosts_need_a_token_that_is_printed_once(
    run_tiny: Invoke, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_tiny("--timeout", "0")
    monkeypatch.setattr("waitress.server.BaseWSGIServer.run", lambda self: None)
    words = ("dashboard", "--host", "0.0.0.0", "--port", "0")
    first = invoke(*words)
    assert first.code == 0
    found = re.search(r"^token, shown this once \(.*\): (\S{43})$", first.out, re.MULTILINE)
    assert found
    assert f"/dashboard/studies/1?token={found[1]}\n" in first.out
    assert found[1] not in Path("storage/dashboard-token.json").read_text()
    second = invoke(*words)
    assert "token=" not in second.out
    assert "the token that was printed on " in second.out
    third = invoke(*words, "--new-token")
    assert "token, shown this once" in third.out
    assert found[1] not in third.out
    Path("storage/dashboard-token.json").chmod(0o666)
    refused = invoke(*words)
    assert (refused.code, refused.out) == (1, "")
    assert "add --new-token" in refused.err


def test_another_name_needs_the_token(
    run_tiny: Invoke, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_tiny("--timeout", "0")
    monkeypatch.setattr("waitress.server.BaseWSGIServer.run", lambda self: None)
    first = invoke("dashboard", "--port", "0", "--allow-host", "lab.example")
    assert "token, shown this once" in first.out
    refused = invoke("dashboard", "--port", "0", "--allow-host", "http://lab.example")
    assert refused.code == 1
    assert "--allow-host http://lab.example: the name of a host is required" in refused.err


def test_what_it_opens_on(
    run_tiny: Invoke, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("waitress.server.BaseWSGIServer.run", lambda self: None)
    missing = invoke("dashboard", "--port", "0")
    assert missing.code == 1
    assert "there is no study database; type `cvfp-opt run`" in missing.err
    assert not Path("storage").exists()
    run_tiny("--timeout", "0")
    run_tiny("--timeout", "0", "--study-name", "other")
    assert re.match(r"2 studies: http://\S+/dashboard\n", invoke("dashboard", "--port", "0").out)
    named = invoke("dashboard", "--port", "0", "--study-name", "other").out
    assert re.match(r"study other: http://\S+/dashboard/studies/\d+\n", named)
    wrong = invoke("dashboard", "--study-name", "othr")
    assert "did you mean 'other'?" in wrong.err
    refused = invoke("dashboard", "--new-token")
    assert (refused.code, "no token is asked for" in refused.err) == (2, True)
    for host in ("no.such.host.invalid", "192.0.2.1"):
        outcome = invoke("dashboard", "--host", host, "--port", "0")
        assert outcome.code == 1
        assert "of this machine is required" in outcome.err


def test_pages_are_written_by_the_search_and_by_refresh(
    run_tiny: Invoke, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    from optuna import load_study
    from optuna_dashboard import get_note, save_note

    monkeypatch.setattr("waitress.server.BaseWSGIServer.run", lambda self: None)
    run_tiny("--n-trials", "2")
    url = "sqlite:///storage/cvfp.db"
    study = load_study(study_name="quick", storage=url)
    assert "2 complete" in get_note(study)
    assert "source\\_trial" in get_note(load_study(study_name="quick/pareto", storage=url)) or (
        "`source_trial`" in get_note(load_study(study_name="quick/pareto", storage=url))
    )
    save_note(study, "")
    assert invoke("dashboard", "--port", "0", "--refresh", "--read-only").code == 0
    assert "2 complete" in get_note(study)
