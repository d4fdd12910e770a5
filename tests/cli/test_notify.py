"""``events`` and ``notify``: what a user types and reads; and a search that tells."""

import json
import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from receiving import command, name_hooks, receiving, webhook
from running import DATABASE, SLOWER_ARGUMENTS, wait_for_trial
from support import REPOSITORY, TINY_ARGUMENTS, Outcome, Start

Invoke = Callable[..., Outcome]
FILE = Path("storage") / "notify.toml"
ONE_SLOW_JOB = ["run", "quick", *TINY_ARGUMENTS, "--threads", "1", *SLOWER_ARGUMENTS]


def test_a_search_tells_what_happens(invoke: Invoke, run_tiny: Callable[..., Outcome]) -> None:
    with receiving() as receiver:
        name_hooks(webhook(receiver.url), FILE)
        run_tiny("--n-trials", "2")
        assert receiver.told[0] == "study-submitted"
        assert receiver.told[-1] == "study-done"
        assert set(receiver.told[1:-1]) <= {"new-best"}
        told = len(receiver.requests)
        run_tiny("--n-trials", "2")  # there is nothing new
        assert len(receiver.requests) == told
        listed = invoke("events").out.splitlines()
        assert len(listed) == told
        assert "study quick is done: 2 of 2 trials" in listed[-1]
        found = json.loads(invoke("events", "quick", "--after", "1", "--json").out)
        assert found == receiver.events[1:]
        assert len(invoke("events", "--limit", "1").out.splitlines()) == 1
        assert invoke("events", "--after", "99").out == "no events after 99\n"
        assert invoke("events", "--after", f"{10**30}").code == 2
    shown = invoke("notify", "list").out.splitlines()
    assert shown[0] == f"ops: webhook to {receiver.url}"
    assert shown[1] == "  is told    all events"
    assert shown[2].startswith(f"  sent       {told}, the last one 20")


def test_a_search_that_cannot_tell_says_so_and_ends_well(
    invoke: Invoke, run_tiny: Callable[..., Outcome]
) -> None:
    name_hooks(command("import sys; sys.exit(3)", more='events = ["study-done"]'), FILE)
    outcome = run_tiny("--n-trials", "1")
    assert "hook desk: " in outcome.out + outcome.err
    assert "exit code 3; `cvfp-opt notify list` shows what waits" in outcome.out + outcome.err
    shown = invoke("notify", "list").out.splitlines()
    assert shown[1] == "  is told    study-done"
    assert shown[3].startswith("  waiting    1: ")
    [hook] = json.loads(invoke("notify", "list", "--json").out)
    assert (hook["name"], hook["state"]["waiting"]) == ("desk", 1)


def test_a_file_that_is_not_right_stops_a_search_before_it_begins(invoke: Invoke) -> None:
    name_hooks("[hooks.ops]", FILE)
    outcome = invoke("run", "quick", "--n-trials", "1")
    assert (outcome.code, outcome.out) == (1, "")
    assert "hooks.ops.kind: a text is required" in outcome.err
    assert not DATABASE.exists()


def test_hooks_are_tried(invoke: Invoke) -> None:
    with receiving() as receiver:
        name_hooks(webhook(receiver.url) + command("import sys; sys.exit(1)"), FILE)
        tried = invoke("notify", "test")
        assert tried.code == 1
        ops, desk = tried.out.splitlines()
        assert ops == "ops: told"
        assert desk.startswith("desk: NOT told: ")
        assert invoke("notify", "test", "ops").code == 0
        assert receiver.told == ["test", "test"]
        assert all(request.is_genuine() for request in receiver.requests)
    refused = invoke("notify", "test", "opps")
    assert (refused.code, "did you mean 'ops'?" in refused.err) == (1, True)
    assert not DATABASE.exists()


def test_without_a_hook_a_command_says_where_one_is_named(invoke: Invoke) -> None:
    for words in (("notify", "test"), ("notify", "send")):
        refused = invoke(*words)
        assert refused.code == 1
        assert "notify.toml: a hook is required, there is none" in refused.err
    assert "no hooks" in invoke("notify", "list").out


def test_what_waits_is_sent_by_hand(invoke: Invoke, run_tiny: Callable[..., Outcome]) -> None:
    run_tiny("--n-trials", "1")
    with receiving() as receiver:
        name_hooks(webhook(receiver.url), FILE)
        assert invoke("notify", "send").out == "nothing is due\n"  # it is told from here on
        invoke("study", "set", "quick", "--n-trials", "3")
        invoke("study", "pause", "quick")
        sent = invoke("notify", "send")
        assert (sent.code, receiver.told) == (0, ["study-paused"])
        assert sent.out.startswith("ops: event ")
        receiver.answers = [500]
        invoke("study", "resume", "quick")
        failed = invoke("notify", "send")
        assert (failed.code, "NOT told: " in failed.out) == (1, True)
        assert invoke("notify", "send").out == "nothing is due\n"  # later


@pytest.mark.parametrize("path", ["format-1", "format-2"])
def test_a_database_of_an_earlier_version_has_no_events(
    path: str, invoke: Invoke, isolated_folder: Path
) -> None:
    content = (REPOSITORY / "tests" / "fixtures" / path / "study.db").read_bytes()
    Path("old.db").write_bytes(content)
    assert invoke("events", "--storage", "old.db").out == "no events\n"
    assert invoke("events", "quick", "--storage", "old.db").out == "no events\n"
    assert "no hooks" in invoke("notify", "list", "--storage", "old.db").out
    assert Path("old.db").read_bytes() == content


@pytest.mark.processes
def test_what_a_killed_process_had_to_tell_the_next_one_tells(
    invoke: Invoke, start: Start, isolated_folder: Path
) -> None:
    with receiving(-1) as receiver:  # it never gets an answer
        name_hooks(webhook(receiver.url, more="timeout = 60"), FILE)
        killed = start(*ONE_SLOW_JOB, cwd=isolated_folder)
        receiver.wait()
        wait_for_trial(killed)
        os.killpg(killed.pid, signal.SIGKILL)
        killed.communicate()
        receiver.go_on.set()
        with closing(sqlite3.connect(DATABASE)) as connection, connection:
            connection.execute("UPDATE cvfp_opt_deliveries SET due = 0")  # a minute later
        assert invoke("notify", "send").code == 0
        first, again = receiver.events[:2]
        assert first == again
        assert first["kind"] == "study-submitted"


def test_a_confirmation_tells_its_verdict_once(
    invoke: Invoke, run_tiny: Callable[..., Outcome]
) -> None:
    run_tiny("--n-trials", "2")
    words = ("confirm", "--top", "1", "--seeds", "3", "--n-jobs", "1", "--threads", "1")
    for _ in range(2):
        assert invoke(*words).code == 0
    found = json.loads(invoke("events", "--json").out)
    [event] = [one for one in found if one["kind"] == "confirmed"]
    trial, verdict = event["details"]["trial"], event["details"]["verdict"]
    assert event["text"] == f"study quick: on 3 fresh seeds trial {trial} is {verdict}"
    assert "study-done" not in [one["kind"] for one in found if one["study"] == "quick/confirm"]
