"""``status --watch``: lines in a log, a picture on a terminal, an end in either."""

import os
import pty
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from processes import fork_python
from support import Outcome, Start

from cvfp_opt.cli.watch import LOOKS_AT_REST, follow
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import Summary

Invoke = Callable[..., Outcome]


def summary(*states: str) -> Summary:
    trials = [TrialRecord(number=n, state=state) for n, state in enumerate(states)]
    return Summary(name="s", url="", record=None, trials=trials)


def followed(*looks: Summary) -> tuple[int, int]:
    """How often was shown and paused until it ended by itself."""
    shown: list[Summary] = []
    pauses: list[None] = []
    follow(iter(looks).__next__, shown.append, lambda: pauses.append(None))
    return len(shown), len(pauses)


def test_it_ends_when_nothing_ran_in_two_looks_running() -> None:
    done, busy = summary("complete"), summary("complete", "running")
    assert LOOKS_AT_REST == 2
    assert followed(done, done) == (2, 1)
    assert followed(busy, done, busy, done, done) == (5, 4)


def test_what_waits_and_what_is_empty_are_waited_for() -> None:
    done, waiting = summary("complete"), summary("complete", "waiting")
    assert followed(summary(), summary(), waiting, done, done) == (5, 4)


def test_a_finished_study_is_one_line_in_a_log(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "2", "--n-jobs", "1")
    outcome = invoke("status", "--watch", "0.1")
    assert outcome.code == 0
    [line] = outcome.out.splitlines()
    assert " UTC  2 of 2: 2 complete  best: trial " in line


def test_status_has_a_line_of_history(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "2", "--n-jobs", "1")
    [line] = [line for line in invoke("status").out.splitlines() if line.startswith("best so far")]
    assert len(line.split(":")[1].split()[0]) == 2


def test_json_is_not_watched(invoke: Invoke) -> None:
    assert invoke("status", "--watch", "--json").code == 2
    assert invoke("status", "--watch", "0").code == 2


@pytest.fixture
def waiting(run_tiny: Invoke, invoke: Invoke) -> None:
    """A study whose search never ends: a trial waits, and nobody runs it."""
    run_tiny("--n-trials", "1", "--n-jobs", "1")
    assert invoke("trial", "enqueue", "--set", "dist_reg_weight=0.5").code == 0


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_log_ends_with_the_code_of_its_signal(
    waiting: None, start: Start, isolated_folder: Path, signum: signal.Signals, code: int
) -> None:
    process = start("status", "--watch", "600", cwd=isolated_folder)
    assert process.stdout is not None
    assert "1 complete, 1 waiting" in process.stdout.readline()
    process.send_signal(signum)
    assert process.wait(timeout=60) == code
    assert process.stdout.read() == ""


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)


def test_a_terminal_is_drawn_on_and_left_as_it_was(
    waiting: None, terminal: tuple[int, int], isolated_folder: Path
) -> None:
    ours, theirs = terminal
    process = fork_python(
        *("-m", "cvfp_opt", "status", "--watch", "600"),
        cwd=isolated_folder,
        environment=os.environ | {"TERM": "xterm", "COLUMNS": "70", "LINES": "30"},
        streams=[theirs, theirs, theirs],
    )
    try:
        os.close(theirs)
        drawn = b""
        while b"^C ends the watching" not in drawn:
            drawn += os.read(ours, 4096)
        assert b"1 complete" in drawn
        assert b"\x1b[?25l" in drawn  # no cursor
        process.send_signal(signal.SIGINT)
        rest = drain(ours)
        assert process.wait(timeout=60) == 130
        # the last: colorama's, if it is installed, which Optuna's logging then starts
        assert rest.rstrip().removesuffix(b"\x1b[0m").endswith(b"\x1b[?25h")
        assert b"Traceback" not in drawn + rest
    finally:
        process.kill()
        process.wait()


def drain(terminal: int) -> bytes:
    found = b""
    while True:
        try:
            more = os.read(terminal, 4096)
        except OSError:  # Linux: the other side is closed
            return found
        if not more:
            return found
        found += more
