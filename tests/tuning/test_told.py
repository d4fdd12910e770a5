"""What a search tells of its study while it runs, and at its end."""

from collections.abc import Callable, Iterator

import pytest
from searching import Recorder, make_search
from sqlalchemy.exc import OperationalError
from telling import kinds

from cvfp_opt.errors import SearchError
from cvfp_opt.store.database.damage import Damaged
from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.store.database.storage import Store, open_for_search
from cvfp_opt.store.queue import announcing, control
from cvfp_opt.store.queue.events import read_events
from cvfp_opt.training.events import Event


@pytest.fixture
def store() -> Iterator[Store]:
    with open_for_search(resolve_location("x.db")) as opened:
        yield opened


def failing(*numbers: int) -> Recorder:
    def act(number: int, event: Event) -> None:
        if number in numbers:
            raise MemoryError("no room")

    return Recorder(act)


def test_failures_in_a_row_and_the_end_are_told(store: Store) -> None:
    search = make_search(store, observer=failing(1, 2, 3))
    control.set_total(store, search.study, 5)
    search.run(5)
    found = [one for one in read_events(store) if one.kind != "new-best"]
    assert kinds(found) == ["failures", "study-done"]
    assert found[0].text == (
        "study quick: the last 3 trials failed, the newest with: MemoryError: no room"
    )
    search.run(5)  # has nothing to do
    assert [one for one in read_events(store) if one.kind != "new-best"] == found


def test_a_search_that_ends_itself_has_told_the_failures(store: Store) -> None:
    search = make_search(store, observer=failing(*range(9)))
    with pytest.raises(SearchError):
        search.run(9)
    assert kinds(read_events(store)) == ["failures"]


def test_a_part_of_a_study_is_no_end_of_it(store: Store) -> None:
    search = make_search(store)
    control.set_total(store, search.study, 3)
    search.run(2)
    assert "study-done" not in kinds(read_events(store))


@pytest.mark.parametrize(
    "error", [Damaged("an event of id 3"), OperationalError("SELECT", None, Exception("away"))]
)
def test_a_database_that_is_away_or_damaged_ends_no_search_by_what_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(announcing, "announce_end", raising(error))
    monkeypatch.setattr(announcing, "announce_best", raising(error))
    search = make_search(store)
    search.run(1)
    assert search.study.trials[0].state.is_finished()


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError), announcing.untold():
        raising(ZeroDivisionError())()


def raising(error: Exception) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail
