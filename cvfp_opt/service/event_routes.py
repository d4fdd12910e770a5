"""What happened to studies, in its order; whoever waits for more may be kept waiting."""

import threading
import time
from collections.abc import Callable
from typing import Annotated, TypedDict

import optuna

from cvfp_opt.service.reading import Between
from cvfp_opt.service.route import Answer, Call
from cvfp_opt.store.queue.events import LONGEST_LIST, read_events
from cvfp_opt.store.record.event import Event
from cvfp_opt.store.record.studies import load_study

_MOST_SECONDS = 20
# Requests that wait at a time: each takes one of the server's four threads.
_WAITING = threading.Semaphore(2)
_LOOK_SECONDS = 0.5


class EventsQuery(TypedDict, total=False):
    """Which events to list.

    Attributes:
        after: those with a larger id; 0 where nothing is said, for all that are kept.
        limit: at most so many; 100 where nothing is said.
        wait: if there is none, wait for so many seconds for one; 0 where nothing is said. A busy
            server answers sooner.
    """

    after: Annotated[int, Between(0, 2**31 - 1)]
    limit: Annotated[int, Between(1, LONGEST_LIST)]
    wait: Annotated[int, Between(0, _MOST_SECONDS)]


def list_events(call: Call) -> Answer:
    """List what happened to studies, first happened first."""

    def look(after: int, limit: int) -> list[Event]:
        return read_events(call.desk.store, after=after, limit=limit)

    return _listed(call, look)


def list_study_events(call: Call) -> Answer:
    """List what happened to a study, first happened first."""
    call.require_study()
    study: optuna.Study = load_study(call.desk.store, call.study)

    def look(after: int, limit: int) -> list[Event]:
        return read_events(call.desk.store, study, after=after, limit=limit)

    return _listed(call, look)


def _listed(call: Call, look: Callable[[int, int], list[Event]]) -> Answer:
    after, limit = call.query.get("after", 0), call.query.get("limit", 100)
    found = _seen(call, look, after, limit)
    seconds = call.query.get("wait", 0)
    if not found and seconds and _WAITING.acquire(blocking=False):
        try:
            end = time.monotonic() + seconds
            while not found and time.monotonic() < end:
                time.sleep(_LOOK_SECONDS)
                found = _seen(call, look, after, limit)
        finally:
            _WAITING.release()
    return Answer(value=[event.to_dict() for event in found])


def _seen(
    call: Call, look: Callable[[int, int], list[Event]], after: int, limit: int
) -> list[Event]:
    """Read events of studies that may be seen, however many lie between them."""
    found: list[Event] = []
    while len(found) < limit:
        events = look(after, LONGEST_LIST if call.rights.studies else limit)
        found += [event for event in events if call.rights.covers(event.study)]
        if not call.rights.studies or len(events) < LONGEST_LIST:
            break
        after = events[-1].id
    return found[:limit]
