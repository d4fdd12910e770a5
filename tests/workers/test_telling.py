"""A worker's thread that tells that it is alive."""

from threading import Event
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import open_for_editing
from cvfp_opt.store.queue.leases import Worker
from cvfp_opt.store.queue.workers import StayingWorker
from cvfp_opt.workers import telling
from cvfp_opt.workers.health import Pulse
from cvfp_opt.workers.telling import Telling


def test_a_worker_whose_database_is_away_lives(
    location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever watches it would end it else, and the trial that it runs has to begin again."""
    asked, beats = Event(), []

    def away(*words: Any) -> None:
        asked.set()
        raise OperationalError("UPDATE", {}, ConnectionError("no answer"))

    class Counting(Pulse):
        def beat(self) -> None:
            beats.append(asked.is_set())

    monkeypatch.setattr(telling, "tell", away)
    worker = StayingWorker(**vars(Worker.of_this_process()))
    with open_for_editing(location) as store:
        with Telling(store, worker, Counting(60)):
            assert asked.wait(20)
        assert beats == [False, True]


def test_the_first_beat_is_told() -> None:
    begun: list[bool] = []
    pulse = Pulse(60, begun=lambda: begun.append(True))
    assert begun == []
    pulse.beat()
    pulse.beat()
    assert begun == [True]
