"""The ways to tell an event: what arrives, and what is said of what does not."""

import json
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from receiving import SECRET, Receiver, receiving

from cvfp_opt.notify.apprise_urls import AppriseUrls
from cvfp_opt.notify.command import Command
from cvfp_opt.notify.hook import Hook
from cvfp_opt.notify.webhook import Webhook, signature
from cvfp_opt.store.record.event import Event

EVENT = Event(
    id=7,
    uuid="f" * 32,
    kind="study-done",
    time=1.7e9,
    study="a study\nof “mine”",
    text="it is done",
    details={"total": 5},
    identity="u",
)


def hook_to(receiver: Receiver) -> Webhook:
    return Webhook(url=f"{receiver.url}/in?key=hidden", secret=SECRET)


def test_a_webhook_is_sent_the_event_signed() -> None:
    with receiving() as receiver:
        assert hook_to(receiver).deliver(EVENT, 5).why == ""
        [request] = receiver.requests
        assert request.path == "/in?key=hidden"
        assert request.event == EVENT.to_dict()
        assert request.event["at"] == "2023-11-14T22:13:20+00:00"
        assert request.headers["x-cvfp-event"] == "study-done"
        assert request.headers["x-cvfp-delivery"] == EVENT.uuid
        assert request.headers["content-type"] == "application/json"
        assert request.is_genuine()
        assert not request.is_genuine("another secret")
        request.body += b" "
        assert not request.is_genuine()


def test_a_signature_is_known() -> None:
    # printf '1.{}' | openssl dgst -sha256 -hmac s
    digest = "b253639bcd705ed1cda3073f66104f16988bd40272584dea7d0d345ae93e61cc"
    assert signature("s", 1, b"{}") == f"t=1,v1={digest}"


@pytest.mark.parametrize("code", [400, 404, 500, 503])
def test_what_is_no_success_is_a_failure(code: int) -> None:
    with receiving(code) as receiver:
        outcome = hook_to(receiver).deliver(EVENT, 5)
    assert outcome.why == f"{receiver.url}/… answered {code}"
    assert not outcome.gone


@pytest.mark.parametrize("code", [302, 307])
def test_a_redirection_is_not_followed(code: int) -> None:
    with receiving(code) as receiver:
        outcome = hook_to(receiver).deliver(EVENT, 5)
        assert len(receiver.requests) == 1
    assert outcome.why.endswith(f"answered {code}; redirections are not followed")


def test_who_is_gone_says_so() -> None:
    with receiving(410) as receiver:
        assert hook_to(receiver).deliver(EVENT, 5).gone


def test_a_server_that_drips_is_left_in_time() -> None:
    with receiving(-1) as receiver:
        outcome = hook_to(receiver).deliver(EVENT, 0.5)
    assert outcome.why == f"{receiver.url}/…: no answer within 0.5 s"


def test_a_server_that_says_nothing_and_one_that_is_not_there_are_failures() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        outcome = Webhook(url=url).deliver(EVENT, 0.2)
        assert outcome.why == f"{url}: no answer within 0.2 s"
    assert Webhook(url=url).deliver(EVENT, 1).why == f"{url}: [Errno 111] Connection refused"


def test_nothing_that_is_shown_has_a_secret() -> None:
    hook = Webhook(url="https://hooks.example/services/T0/B0/hidden", secret=SECRET)
    assert hook.shown == "https://hooks.example/…"
    assert "hidden" not in repr(hook)
    assert SECRET not in repr(hook)
    urls = AppriseUrls(urls=("slack://hidden", "mailto://u:hidden@x.example"))
    assert urls.shown == "slack://…, mailto://…"
    assert "hidden" not in repr(urls)
    assert Command(words=("curl", "-H", "hidden")).shown == "curl …"


def python(code: str) -> Command:
    return Command(words=("python3", "-c", code))


def test_a_command_is_given_the_event() -> None:
    code = """
import json, os, sys
found = {"event": json.load(sys.stdin), "group": os.getpgid(0) == os.getpid()}
found |= {key: value for key, value in os.environ.items() if key.startswith("CVFP_OPT_EVENT_")}
print("this is read by nobody")
open("out.json", "w").write(json.dumps(found))
"""
    assert python(code).deliver(EVENT, 20).why == ""
    found: Any = json.loads(Path("out.json").read_text())
    assert found.pop("event") == EVENT.to_dict()
    assert found.pop("group")
    assert found == {
        "CVFP_OPT_EVENT_ID": "7",
        "CVFP_OPT_EVENT_UUID": EVENT.uuid,
        "CVFP_OPT_EVENT_KIND": "study-done",
        "CVFP_OPT_EVENT_STUDY": EVENT.study,
        "CVFP_OPT_EVENT_TIME": "1700000000.000",
        "CVFP_OPT_EVENT_TEXT": "it is done",
    }


def test_no_shell_reads_a_command() -> None:
    words = ("touch", "a; touch b", "$(touch c)")
    assert Command(words=words).deliver(EVENT, 20).why == ""
    assert sorted(os.listdir()) == ["$(touch c)", "a; touch b"]


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import sys; sys.exit(3)", "exit code 3"),
        ("import sys; sys.exit('no\\x1b[31m\\nroom')", "exit code 1: no\\x1b[31m room"),
        ("import os; os.kill(os.getpid(), 9)", "ended by SIGKILL"),
        ("import os; os.kill(os.getpid(), 40)", "ended by signal 40"),
    ],
)
def test_a_command_that_fails_says_why(code: str, why: str) -> None:
    assert python(code).deliver(EVENT, 20).why == f"python3 …: {why}"


def test_a_command_need_not_read_the_event() -> None:
    assert Command(words=("true",)).deliver(EVENT, 20).why == ""


def test_a_command_that_does_not_exist_is_a_failure() -> None:
    why = "no-such: cannot be run: No such file or directory"
    assert Command(words=("no-such",)).deliver(EVENT, 1).why == why


def test_a_command_that_hangs_is_ended_with_what_it_started() -> None:
    code = """
import os, time
child = os.fork()
if child:
    open("child", "w").write(str(child))
time.sleep(600)
"""
    outcome = python(code).deliver(EVENT, 1.0)
    assert outcome.why == "python3 …: not done within 1 s, and ended"
    with suppress(psutil.NoSuchProcess):
        child = psutil.Process(int(Path("child").read_text()))
        assert child.status() == psutil.STATUS_ZOMBIE or child.wait(5) is None


# one of the plugins that apprise loads imports a module that Python will drop
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_apprise_tells_people() -> None:
    pytest.importorskip("apprise")
    with receiving(500) as receiver:
        url = receiver.url.replace("http", "json") + "/hidden"
        failed = AppriseUrls(urls=(url,)).deliver(EVENT, 5)
        assert failed.why.startswith("json://…: not told: ")
        assert "hidden" not in failed.why
        assert AppriseUrls(urls=(url,)).deliver(EVENT, 5).why == ""
        told = receiver.events[-1]
        assert (told["title"], told["message"]) == ("cvfp-opt: study-done", "it is done")
    unknown = AppriseUrls(urls=(url, "nosuch://x")).deliver(EVENT, 5)
    assert unknown.why == "json://…, nosuch://…: apprise does not know URL 2 of its list"


def test_a_hook_chooses_kinds_and_studies() -> None:
    def wants(**words: tuple[str, ...]) -> bool:
        return Hook(name="x", kind="command", channel=Command(words=("true",)), **words).wants(
            EVENT
        )

    assert wants()
    assert wants(events=("failures", "study-done"), studies=("a *",))
    assert not wants(events=("failures",))
    assert not wants(studies=("paper-*", "A *"))
