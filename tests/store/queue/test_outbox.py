"""What hooks are still to be told: each event once to each hook, whoever sends it."""

import threading
from collections.abc import Callable
from functools import partial

import optuna
import pytest
from sqlalchemy import delete
from telling import Clock, kinds, our_study

from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import Store, open_for_search
from cvfp_opt.store.database.tables import HOOKS
from cvfp_opt.store.queue import control
from cvfp_opt.store.queue.events import read_events, write_event
from cvfp_opt.store.queue.outbox import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    OLDEST_SECONDS,
    Delivery,
    Outbox,
    pause_after,
    read_hooks,
)
from cvfp_opt.store.record.event import Event, EventKind, Subject

SOMETHING = Subject(study_id=1, name="s", identity="i")


def write(store: Store, *which: object, kind: EventKind = EventKind.DONE) -> None:
    with store.engine.begin() as connection:
        for one in which:
            write_event(connection, store, SOMETHING, kind, one, f"{one}")


@pytest.fixture
def clock(store: Store) -> Clock:
    write(store, "now")
    return Clock(read_events(store)[0].time)


@pytest.fixture
def make(store: Store, clock: Clock) -> Callable[..., Outbox]:
    def outbox(
        hook: str = "ops", wanted: Callable[[Event], bool] = lambda event: True, **other: Store
    ) -> Outbox:
        found = Outbox(
            store=other.get("store", store), hook=hook, wanted=wanted, seconds=60, now=clock.now
        )
        found.join()
        return found

    return outbox


Make = Callable[..., Outbox]


def fetched(outbox: Outbox) -> list[str]:
    found = []
    while (delivery := outbox.fetch()) is not None:
        found.append(delivery.event.text)
    return found


def take(outbox: Outbox) -> Delivery:
    found = outbox.fetch()
    assert found is not None
    return found


def test_a_hook_is_told_what_happens_from_its_first_moment_on(store: Store, make: Make) -> None:
    write(store, 1)
    ops = make()
    assert fetched(ops) == []
    write(store, 2, 3)
    assert fetched(ops) == ["2", "3"]
    write(store, 4)
    assert fetched(make()) == ["4"]  # whoever knows it sends what waits
    assert fetched(make("other")) == []


def test_each_hook_is_told_what_it_wants(store: Store, make: Make) -> None:
    ops = make()
    done = make("done", lambda event: event.kind == "study-done")
    write(store, 1)
    write(store, 2, kind=EventKind.PAUSED)
    assert fetched(ops) == ["1", "2"]
    assert fetched(done) == ["1"]


def test_what_is_sent_is_sent_once_and_what_failed_later_again(
    store: Store, make: Make, clock: Clock
) -> None:
    ops, other = make(), make("other")
    write(store, 1, 2)
    first, second = take(ops), take(ops)
    ops.settle(first)
    ops.settle(second, "503 from https://ops.example")
    clock.time += FIRST_PAUSE - 1
    assert ops.fetch() is None
    clock.time += 2
    again = take(ops)
    assert (again.event, again.attempts) == (second.event, 2)
    ops.settle(again, "503 again")
    clock.time += FIRST_PAUSE + 1
    assert ops.fetch() is None
    clock.time += FIRST_PAUSE
    ops.settle(take(ops))
    clock.time += 1e6
    assert ops.fetch() is None
    assert fetched(other) == ["1", "2"]  # it repeats nothing of the other hook


def test_pauses_grow_up_to_a_limit() -> None:
    assert [pause_after(n) for n in (1, 2, 3)] == [5.0, 10.0, 20.0]
    assert pause_after(1000) == LONGEST_PAUSE


def test_what_is_too_old_is_given_up(store: Store, make: Make, clock: Clock) -> None:
    ops = make()
    write(store, 1)
    clock.time += OLDEST_SECONDS + 60
    ops.settle(take(ops), "no such host")
    clock.time += 1e6
    assert ops.fetch() is None
    state = read_hooks(store)["ops"]
    assert (state.given_up, state.waiting, state.why) == (1, 0, "no such host")


def test_who_is_killed_in_the_middle_leaves_it_to_the_next(
    store: Store, make: Make, clock: Clock
) -> None:
    killed, late, living = make(), make(), make()
    write(store, 1)
    first = take(killed)
    clock.time += 59
    assert living.fetch() is None
    clock.time += 2
    second = take(late)
    clock.time += 61
    third = take(living)
    assert first.event.uuid == second.event.uuid == third.event.uuid
    living.settle(third)
    late.settle(second, "it wakes up late")  # and says nothing that counts
    assert read_hooks(store)["ops"].sent == 1
    clock.time += 1e6
    assert living.fetch() is None


def test_a_clock_that_was_set_back_stops_nobody(store: Store, make: Make, clock: Clock) -> None:
    ops = make()
    write(store, 1)
    ops.settle(take(ops), "503")
    clock.time -= 86_400
    assert take(ops).attempts == 2


def test_two_senders_share_a_hooks_events(location: Location, store: Store, make: Make) -> None:
    make()
    write(store, *range(20))
    sent: list[str] = []
    begin = threading.Barrier(2)

    def send() -> None:
        with open_for_search(location) as own:
            outbox = make(store=own)
            begin.wait(10)
            while (delivery := outbox.fetch()) is not None:
                sent.append(delivery.event.text)
                outbox.settle(delivery)

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(sent, key=int) == [str(i) for i in range(20)]
    assert read_hooks(store)["ops"].sent == 20


def test_many_events_are_handed_out_in_parts(
    store: Store, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cvfp_opt.store.queue.outbox._BATCH", 3)
    ops = make()
    write(store, *range(7))
    assert fetched(ops) == [str(i) for i in range(7)]


def test_a_hook_that_somebody_removed_begins_anew(store: Store, make: Make) -> None:
    ops = make()
    with store.engine.begin() as connection:
        connection.execute(delete(HOOKS))
    write(store, 1)
    assert ops.fetch() is None
    write(store, 2)
    assert fetched(ops) == ["2"]
    assert kinds(read_events(store)) == ["study-done"] * 3


def test_many_who_write_and_send_never_wait_for_each_other_in_a_circle(
    location: Location, store: Store
) -> None:
    """No deadlock, and each event once: four studies changed at once, two senders."""
    studies = [our_study(store, f"s{i}", total=9) for i in range(4)]
    ended, sent, failed = threading.Event(), list[str](), list[BaseException]()

    def work(act: Callable[[Store], None]) -> None:
        try:
            with open_for_search(location) as own:
                act(own)
        except BaseException as error:
            failed.append(error)

    def change(own: Store, name: str) -> None:
        study = optuna.load_study(study_name=name, storage=own.storage)
        for _ in range(8):
            control.pause(own, study)
            control.resume(own, study)

    def send(own: Store) -> None:
        box = Outbox(store=own, hook="ops", wanted=lambda event: True, seconds=60)
        last = False
        while not last:
            last = ended.is_set()
            while (delivery := box.fetch()) is not None:
                box.settle(delivery)
                sent.append(delivery.event.uuid)

    Outbox(store=store, hook="ops", wanted=lambda event: True, seconds=60).join()
    changing = [partial(change, name=study.study_name) for study in studies]
    writers = [threading.Thread(target=work, args=(one,)) for one in changing]
    senders = [threading.Thread(target=work, args=(send,)) for _ in range(2)]
    for thread in (*writers, *senders):
        thread.start()
    for thread in writers:
        thread.join(60)
    ended.set()
    for thread in senders:
        thread.join(60)
    assert failed == []
    assert sorted(sent) == sorted(event.uuid for event in read_events(store))
    assert len(sent) == 64
