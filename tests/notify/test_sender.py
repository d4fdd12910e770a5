"""Senders: they tell what happens while they run, and no hook stops another, or them."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from receiving import Receiver, command, name_hooks, receiving, webhook
from telling import our_study

from cvfp_opt.errors import NotifyError
from cvfp_opt.notify import sender as sending_module
from cvfp_opt.notify.file import read_notify_file
from cvfp_opt.notify.sender import Sender, outbox_of, send_due, sending
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import Store, open_for_search
from cvfp_opt.store.queue import control, outbox
from cvfp_opt.store.queue.events import read_events
from cvfp_opt.store.queue.outbox import read_hooks


@pytest.fixture
def store(location: Location) -> Iterator[Store]:
    with open_for_search(location) as opened:
        yield opened


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as server:
        yield server


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Name hooks, wherever the database lies; and look for events all the time."""
    monkeypatch.setattr(sending_module, "POLL_SECONDS", 0.01)

    def write(*texts: str) -> None:
        monkeypatch.setenv("CVFP_OPT_NOTIFY", str(name_hooks("\n".join(texts)).absolute()))

    return write


Named = Callable[..., None]


def happen(store: Store, name: str = "s") -> None:
    """Let two things happen."""
    study = our_study(store, name, total=5)
    control.pause(store, study)
    control.resume(store, study)


def test_hooks_are_told_while_it_runs_and_what_is_left_at_its_end(
    store: Store, receiver: Receiver, named: Named, monkeypatch: pytest.MonkeyPatch
) -> None:
    named(webhook(receiver.url))
    with Sender(store, read_notify_file(store.location)):
        happen(store)
        receiver.wait(2)
        monkeypatch.setattr(sending_module, "POLL_SECONDS", 600)
        happen(store, "t")
    assert receiver.told == ["study-paused", "study-resumed"] * 2
    assert all(request.is_genuine() for request in receiver.requests)
    assert [one["id"] for one in receiver.events] == [one.id for one in read_events(store)]


def test_what_fails_is_told_later_with_the_same_id(
    store: Store, receiver: Receiver, named: Named, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "FIRST_PAUSE", 0.0)
    receiver.answers = [500, 503]
    named(webhook(receiver.url))
    with Sender(store, read_notify_file(store.location)):
        control.pause(store, our_study(store, total=5))
        receiver.wait(3)
    first, second, third = receiver.events
    assert first == second == third
    state = read_hooks(store)["ops"]
    assert (state.sent, state.waiting, state.why) == (1, 0, "")


def test_a_hook_that_hangs_delays_neither_the_others_nor_the_end(
    store: Store, receiver: Receiver, named: Named
) -> None:
    with receiving(-1) as hanging:
        named(webhook(hanging.url, "hanging", "timeout = 30"), webhook(receiver.url))
        sender = Sender(store, read_notify_file(store.location))
        sender.start()
        happen(store)
        hanging.wait()
        receiver.wait(2)
        begun = time.monotonic()
        sender.stop(0.2)
        assert time.monotonic() - begun < 5
    for thread in threading.enumerate():
        if thread.name == "hook":
            thread.join(10)
    state = read_hooks(store)["hanging"]
    assert state.sent == 0
    assert state.waiting >= 1  # for whoever sends next


def test_a_hook_that_is_gone_is_left_alone(store: Store, receiver: Receiver, named: Named) -> None:
    receiver.answers = [410]
    named(webhook(receiver.url))
    with Sender(store, read_notify_file(store.location)) as sender:
        happen(store)
        receiver.wait()
    assert len(receiver.requests) == 1
    assert sender.failures() == [f"hook ops: {receiver.url} answered 410"]
    assert read_hooks(store)["ops"].waiting >= 1


def test_senders_of_one_database_share_its_events(
    location: Location, store: Store, receiver: Receiver, named: Named
) -> None:
    named(webhook(receiver.url))
    with open_for_search(location) as other:
        file = read_notify_file(location)
        with Sender(store, file), Sender(other, file):
            for name in "abcdef":
                happen(store, name)
            receiver.wait(12)
    uuids = [one["uuid"] for one in receiver.events]
    assert sorted(uuids) == sorted(one.uuid for one in read_events(store))


def test_what_is_told_in_the_end_names_what_failed(
    store: Store, receiver: Receiver, named: Named
) -> None:
    named(webhook(receiver.url), command("import sys; sys.exit(2)"))
    lines: list[str] = []
    with sending(store, lines.append):
        happen(store)
        receiver.wait(2)
    [line] = lines
    assert line.startswith("hook desk: ")
    assert "exit code 2; `cvfp-opt notify list" in line


def test_without_hooks_nothing_is_begun(store: Store) -> None:
    before = threading.active_count()
    with sending(store, print):
        assert threading.active_count() == before
    with sending(store, print, always=True):  # looks for studies that nobody serves
        assert threading.active_count() == before + 1


def test_a_file_that_is_not_right_is_refused_at_once(store: Store, named: Named) -> None:
    named("[hooks.ops]")
    with pytest.raises(NotifyError, match="kind: a text is required"), sending(store, print):
        raise AssertionError


def test_what_is_done_too_late_is_not_noted(
    store: Store, receiver: Receiver, named: Named
) -> None:
    named(webhook(receiver.url))
    [hook] = read_notify_file(store.location).hooks
    box = outbox_of(store, hook)
    box.join()
    happen(store)
    answers = iter([True, False])
    assert list(send_due(box, hook, lambda: next(answers))) == []
    assert read_hooks(store)["ops"].waiting == 2
