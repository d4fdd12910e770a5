"""Readiness: as the database answers, within the time, and one question for all who ask."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from sqlalchemy.exc import OperationalError

from cvfp_opt.service.health import Readiness
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import Store, open_for_search


@pytest.fixture
def store(location: Location) -> Iterator[Store]:
    """An open database of each kind."""
    with open_for_search(location) as opened:
        yield opened


def test_a_database_that_answers_is_ready(store: Store) -> None:
    assert Readiness(store).is_ready()


class Fake:
    """A store whose database answers, refuses, or hangs until it is let go."""

    def __init__(self) -> None:
        self.refuses = False
        self.free = threading.Event()
        self.free.set()
        self.asked = 0
        self.engine = self

    def check(self) -> None:
        pass

    @contextmanager
    def connect(self) -> Iterator[Any]:
        self.asked += 1
        assert self.free.wait(20)
        if self.refuses:
            raise OperationalError("", None, Exception("gone"))
        yield self

    def scalar(self, query: object) -> int:
        return 12


def readiness(fake: Fake, now: list[float], seconds: float = 20.0) -> Readiness:
    return Readiness(cast(Store, fake), seconds, lambda: now[0])


def test_one_that_refuses_is_not_ready_and_is_asked_again_a_second_later() -> None:
    fake, now = Fake(), [0.0]
    asked = readiness(fake, now)
    assert asked.is_ready()
    fake.refuses = True
    assert asked.is_ready()  # what was said a moment ago holds
    now[0] += 1.0
    assert not asked.is_ready()
    fake.refuses = False
    now[0] += 1.0
    assert asked.is_ready()
    assert fake.asked == 3


def test_one_that_hangs_is_not_ready_and_holds_one_thread_only() -> None:
    fake, now = Fake(), [0.0]
    asked = readiness(fake, now, 0.01)
    fake.free.clear()
    for _ in range(3):
        assert not asked.is_ready()
        now[0] += 10.0
    assert fake.asked == 1
    before = threading.active_count()
    fake.free.set()
    [thread] = [one for one in threading.enumerate() if one.name == "readiness"]
    thread.join(20)
    assert threading.active_count() < before
    slow = readiness(fake, now)
    assert slow.is_ready()
