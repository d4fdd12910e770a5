"""Events: once for each cause, in an order that a reader can follow, on each kind of database."""

import threading

from sqlalchemy import text
from telling import age, kinds, our_study, subject, told

from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import Store, open_for_reading, open_for_search
from cvfp_opt.store.database.tables import DELIVERIES, EVENTS, HOOKS
from cvfp_opt.store.queue import control
from cvfp_opt.store.queue.events import KEPT_SECONDS, read_events, write_event
from cvfp_opt.store.record.event import EventKind, Subject

SOMETHING = Subject(study_id=1, name="s", identity="i")


def write(store: Store, which: object, about: Subject = SOMETHING) -> bool:
    with store.engine.begin() as connection:
        return write_event(connection, store, about, EventKind.DONE, which, f"told {which}")


def test_what_is_told_twice_of_one_cause_is_one_event(store: Store) -> None:
    assert write(store, 1)
    assert not write(store, 1)
    assert write(store, 2)
    first, second = read_events(store)
    assert (first.text, second.text) == ("told 1", "told 2")
    assert first.id < second.id
    assert first.uuid != second.uuid
    assert read_events(store, after=first.id) == [second]
    assert read_events(store, limit=1) == [first]


def test_an_event_is_told_with_what_happened_or_not_at_all(store: Store) -> None:
    with store.engine.connect() as connection:
        write_event(connection, store, SOMETHING, EventKind.DONE, 1, "told")
        connection.rollback()
    assert read_events(store) == []


def test_a_copy_and_a_later_study_of_the_same_number_have_causes_of_their_own() -> None:
    copy = Subject(study_id=2, name="copy", identity="i")
    later = Subject(study_id=1, name="s", identity="j")
    causes = {one.cause(EventKind.DONE, 5) for one in (SOMETHING, copy, later)}
    assert len(causes) == 3
    renamed = Subject(study_id=1, name="other", identity="i")
    assert renamed.cause(EventKind.DONE, 5) in causes


def test_who_reads_on_from_the_last_id_misses_nothing(location: Location, store: Store) -> None:
    """A transaction that takes its id first may end last: nobody may see a later id before."""
    wrote, seen = threading.Event(), threading.Event()

    def slowly() -> None:
        with open_for_search(location) as own, own.engine.begin() as connection:
            write_event(connection, own, SOMETHING, EventKind.DONE, "slow", "slow")
            wrote.set()
            assert not seen.wait(0.3)  # the other one waits for us

    def quickly() -> None:
        wrote.wait(10)
        with open_for_search(location) as own:
            write(own, "quick")
            seen.set()

    threads = [threading.Thread(target=one) for one in (slowly, quickly)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [one.text for one in read_events(store)] == ["slow", "told quick"]


def test_old_events_are_removed_by_whoever_writes_another(store: Store) -> None:
    write(store, 1)
    age(store, KEPT_SECONDS - 60)
    write(store, 2)
    assert len(read_events(store)) == 2
    age(store, 120)
    write(store, 3)
    assert [one.text for one in read_events(store)] == ["told 2", "told 3"]
    age(store, KEPT_SECONDS)
    write(store, 4)
    [last] = read_events(store)
    assert last.id == 4  # no id is used again


def test_what_somebody_wrote_in_the_place_of_a_body_is_an_event_without_details(
    store: Store,
) -> None:
    write(store, 1)
    for body in ("", "[]", '{"text": 3, "details": {}}', '{"text": "x"}', "[" * 5000):
        with store.engine.begin() as connection:
            connection.execute(EVENTS.update().values(body=body))
        [event] = read_events(store)
        assert (event.text, event.details) == ("study-done", {})


def test_a_database_of_an_earlier_version_has_no_events(location: Location, store: Store) -> None:
    with store.engine.begin() as connection:
        for table in (EVENTS, HOOKS, DELIVERIES):
            connection.execute(text(f"DROP TABLE {table.name}"))
    with open_for_reading(location) as old:
        assert read_events(old) == []


def test_each_change_of_a_studys_state_is_told_once(store: Store) -> None:
    study, other = our_study(store, total=5), our_study(store, "other")
    control.pause(store, study)
    control.pause(store, study)
    control.amend(store, study, {"weight": 2.0})
    control.resume(store, study)
    control.cancel(store, study)
    control.pause(store, other)
    assert told(store, study) == [
        ("study-paused", "is paused"),
        ("study-resumed", "is open"),
        ("study-cancelled", "is cancelled"),
    ]
    assert kinds(read_events(store, other)) == ["study-paused"]
    assert len(read_events(store)) == 4
    assert subject(study).identity == read_events(store)[0].identity
