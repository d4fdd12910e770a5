"""What each hook is still to be told: rows that are claimed as trials are, by the same clock.

Any process that knows a hook hands new events to it, a row each, and takes those that are due.
Taking a row moves its time on, so that nobody else takes it meanwhile; whoever is killed in the
middle has it delivered again, later, by another one. So an event is delivered once or more.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from cvfp_opt.store.database.storage import Store, has_table
from cvfp_opt.store.database.tables import DELIVERIES, EVENTS, HOOKS
from cvfp_opt.store.queue.events import event_of
from cvfp_opt.store.record.event import Event

# What failed is tried again after so long, twice as long each time; and no more when the event is
# so old.
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 600.0
OLDEST_SECONDS = 24 * 3600.0
# Events that are handed to a hook in one transaction.
_BATCH = 500
_FAR = 2 * LONGEST_PAUSE


class DeliveryState(StrEnum):
    """What became of an event for a hook; the values are the user's words."""

    WAITING = "waiting"
    SENT = "sent"
    GIVEN_UP = "given up"


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """An event that this process has taken, to tell it to a hook.

    Attributes:
        event: the event.
        attempts: how often it was taken, this time included.
    """

    event: Event
    attempts: int


@dataclass(frozen=True, kw_only=True)
class HookState:
    """How a hook stands in a database.

    Attributes:
        name: of the hook.
        joined: when a process first knew it, epoch seconds; what happened before is not told.
        sent: events that it was told.
        last_sent: when it was told the last one; None if it was told none.
        waiting: events that it is still to be told.
        given_up: events that it was never told.
        why: why the last one that was not told was not; "" if none is.
    """

    name: str
    joined: float
    sent: int = 0
    last_sent: float | None = None
    waiting: int = 0
    given_up: int = 0
    why: str = ""


@dataclass(kw_only=True)
class Outbox:
    """One hook's events, as one sender takes them.

    Attributes:
        store: the database, open to write.
        hook: name of the hook.
        wanted: whether the hook is to be told an event.
        seconds: for how long a delivery is this sender's.
        now: SQL for the time; None for the database's own.
        sender: an id of this one.
    """

    store: Store
    hook: str
    wanted: Callable[[Event], bool]
    seconds: float
    now: Callable[[], ColumnElement[float]] | None = None
    sender: str = field(default_factory=lambda: uuid.uuid4().hex)

    def join(self) -> None:
        """Enter the hook if it is new: it is told what happens from here on."""
        is_it = HOOKS.c.hook == self.hook
        try:
            with self.store.engine.begin() as connection:
                if connection.scalar(select(HOOKS.c.upto).where(is_it)) is None:
                    last = connection.scalar(select(func.max(EVENTS.c.id))) or 0
                    row = {"hook": self.hook, "upto": last, "joined": self._now()}
                    connection.execute(insert(HOOKS).values(row))
        except IntegrityError:
            pass  # another process has just entered it

    def fetch(self) -> Delivery | None:
        """Take the first event that is due; None if none is."""
        while self._hand_out():
            pass
        due = (
            DELIVERIES.c.state == DeliveryState.WAITING.value,
            # the second: of a clock that was set back since
            or_(DELIVERIES.c.due <= self._now(), DELIVERIES.c.due > self._now() + _FAR),
        )
        ours = DELIVERIES.c.hook == self.hook
        find = (
            select(EVENTS, DELIVERIES.c.attempts)
            .join(DELIVERIES, DELIVERIES.c.event_id == EVENTS.c.id)
            .where(ours, *due)
            .order_by(EVENTS.c.id)
            .limit(1)
        )
        while True:
            with self.store.engine.connect() as connection:
                found = connection.execute(find).mappings().first()
            if found is None:
                return None
            taken = {
                "due": self._now() + self.seconds,
                "attempts": found["attempts"] + 1,
                "sender": self.sender,
            }
            same = DELIVERIES.c.event_id == found["id"], DELIVERIES.c.attempts == found["attempts"]
            with self.store.engine.begin() as connection:
                take = update(DELIVERIES).where(ours, *same, *due).values(taken)
                if connection.execute(take).rowcount == 1:
                    return Delivery(event=event_of(dict(found)), attempts=taken["attempts"])

    def settle(self, delivery: Delivery, why: str = "") -> None:
        """Note that a delivery was told, or why not: then it is due again later, or given up.

        Nothing is noted where another sender has taken it meanwhile.
        """
        ours = (
            DELIVERIES.c.event_id == delivery.event.id,
            DELIVERIES.c.hook == self.hook,
            DELIVERIES.c.sender == self.sender,
            DELIVERIES.c.attempts == delivery.attempts,
            DELIVERIES.c.state == DeliveryState.WAITING.value,
        )
        with self.store.engine.begin() as connection:
            now = connection.scalars(select(self._now())).one()
            values: dict[str, Any] = {"why": why[:1000]}
            if not why:
                values |= {"state": DeliveryState.SENT.value, "sent": now}
            elif now - delivery.event.time > OLDEST_SECONDS:
                values |= {"state": DeliveryState.GIVEN_UP.value}
            else:
                values |= {"due": now + pause_after(delivery.attempts)}
            connection.execute(update(DELIVERIES).where(*ours).values(values))

    def _hand_out(self) -> bool:
        """Hand new events to the hook; whether there may be more."""
        is_it = HOOKS.c.hook == self.hook
        with self.store.engine.connect() as connection:
            upto = connection.scalar(select(HOOKS.c.upto).where(is_it))
            new = select(EVENTS).where(EVENTS.c.id > (upto or 0)).order_by(EVENTS.c.id)
            rows = [dict(row) for row in connection.execute(new.limit(_BATCH)).mappings()]
        if upto is None:  # somebody removed it
            self.join()
            return False
        if not rows:
            return False
        with self.store.engine.begin() as connection:
            same = is_it, HOOKS.c.upto == upto
            move = update(HOOKS).where(*same).values(upto=rows[-1]["id"])
            if connection.execute(move).rowcount == 1:
                wanted = [row["id"] for row in rows if self.wanted(event_of(row))]
                if wanted:
                    connection.execute(insert(DELIVERIES), [self._new(one) for one in wanted])
        return len(rows) == _BATCH

    def _new(self, event_id: int) -> dict[str, Any]:
        return {
            "event_id": event_id,
            "hook": self.hook,
            "state": DeliveryState.WAITING.value,
            "attempts": 0,
            "due": 0.0,
            "sender": "",
            "sent": None,
            "why": "",
        }

    def _now(self) -> ColumnElement[float]:
        return (self.now or self.store.now)()


def pause_after(attempts: int) -> float:
    """Give the seconds until what failed so often is tried again."""
    return float(min(FIRST_PAUSE * 2 ** min(attempts - 1, 30), LONGEST_PAUSE))


def read_hooks(store: Store) -> dict[str, HookState]:
    """Read how the hooks of a database stand, by name."""
    if not has_table(store, HOOKS):
        return {}
    columns = (DELIVERIES.c.hook, DELIVERIES.c.state)
    count = select(*columns, func.count(), func.max(DELIVERIES.c.sent)).group_by(*columns)
    failed = (
        select(DELIVERIES.c.hook, DELIVERIES.c.why)
        .where(DELIVERIES.c.state != DeliveryState.SENT.value, DELIVERIES.c.why != "")
        .order_by(DELIVERIES.c.event_id)
    )
    with store.engine.connect() as connection:
        counts: dict[str, dict[str, tuple[int, float | None]]] = {}
        for hook, state, number, sent in connection.execute(count):
            counts.setdefault(hook, {})[state] = (number, sent)
        why: dict[str, str] = dict(map(tuple, connection.execute(failed)))
        rows = connection.execute(select(HOOKS).order_by(HOOKS.c.hook)).mappings()
        return {row["hook"]: _state(row, counts.get(row["hook"], {}), why) for row in rows}


def _state(
    row: Mapping[Any, Any], counts: dict[str, tuple[int, float | None]], why: dict[str, str]
) -> HookState:
    number = {state: counts.get(state.value, (0, None)) for state in DeliveryState}
    return HookState(
        name=row["hook"],
        joined=row["joined"],
        sent=number[DeliveryState.SENT][0],
        last_sent=number[DeliveryState.SENT][1],
        waiting=number[DeliveryState.WAITING][0],
        given_up=number[DeliveryState.GIVEN_UP][0],
        why=why.get(row["hook"], ""),
    )
