"""What happened: the events of a study, and those of all that may be seen."""

from typing import Annotated, TypedDict

from cvfp_opt.service.reading import Between
from cvfp_opt.service.route import Answer, Call
from cvfp_opt.store.queue.events import LONGEST_LIST, read_events
from cvfp_opt.store.record.event import Event
from cvfp_opt.store.record.studies import load_study

_NEWEST = 50


class EventsQuery(TypedDict, total=False):
    """Which events to list.

    Attributes:
        after: those with a larger id; where nothing is said, the newest 50.
        limit: at most so many.
    """

    after: Annotated[int, Between(0, 10**9 - 1)]
    limit: Annotated[int, Between(1, LONGEST_LIST)]


def list_events(call: Call) -> Answer:
    """List what happened to a study, in its order; events are kept for 30 days.

    Whoever asks again with the last id that came misses none. If-None-Match says whether there is
    anything new.
    """
    call.require_study()
    store = call.desk.store
    after, limit = call.query.get("after"), _limit(call)
    found = read_events(
        store, load_study(store, call.study), after=after or 0, limit=limit, newest=after is None
    )
    return Answer(value=[event.to_dict() for event in found])


def list_all_events(call: Call) -> Answer:
    """List what happened to all studies, in its order; see the events of one study."""
    after, limit = call.query.get("after"), _limit(call)
    if after is None or not call.rights.studies:
        found = read_events(
            call.desk.store, after=after or 0, limit=LONGEST_LIST, newest=after is None
        )
        seen = [event for event in found if call.rights.covers(event.study)]
        seen = seen[-limit:] if after is None else seen[:limit]
    else:
        seen = _covered(call, after, limit)
    return Answer(value=[event.to_dict() for event in seen])


def _covered(call: Call, after: int, limit: int) -> list[Event]:
    """Read on past the events that may not be seen, or who sees few would come no further."""
    seen: list[Event] = []
    while len(seen) < limit:
        found = read_events(call.desk.store, after=after, limit=LONGEST_LIST)
        seen += [event for event in found if call.rights.covers(event.study)]
        if len(found) < LONGEST_LIST:
            break
        after = found[-1].id
    return seen[:limit]


def _limit(call: Call) -> int:
    limit: int = call.query.get("limit", _NEWEST if "after" not in call.query else LONGEST_LIST)
    return limit
