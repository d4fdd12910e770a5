"""The workers that stay: a row each, in which they tell what they do and read what is wanted."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, insert, literal, select, update

from cvfp_opt.errors import StudyError, StudyMissing
from cvfp_opt.store.database.storage import Store, has_table
from cvfp_opt.store.database.tables import WORKERS
from cvfp_opt.store.queue.leases import Worker, this_machine

# A worker tells that it is alive so often, and counts as gone after so long a silence.
BEAT_SECONDS, GONE_SECONDS = 5.0, 60.0
# The row of a worker that is gone is kept for so long, for those who look what became of it.
_KEPT_SECONDS = 24 * 3600.0
_SHORT = 8


class WorkerState(StrEnum):
    """The states of a worker; the values are the user's words."""

    STARTING = "starting"
    RUNNING = "running"
    IDLE = "idle"
    DRAINING = "draining"
    STOPPING = "stopping"
    GONE = "gone"
    """It has not said goodbye; what it ran is taken over."""


class Wanted(StrEnum):
    """The orders that a worker can be given."""

    WORK = ""
    DRAIN = "drain"
    """Take no further trial, and end after those that run."""
    STOP = "stop"
    """Give running trials back, and end."""


@dataclass(frozen=True, kw_only=True)
class StayingWorker(Worker):
    """A worker that stays, as it told last.

    Attributes:
        version: of this program.
        device: that it computes on.
        lanes: trials that it runs at once.
        patterns: names of the studies that it serves, with wildcards; empty for all.
        joined: when it came, epoch seconds by the database's clock, as all times here.
        seen: when it told last that it is alive.
        seconds: for how long it may be silent before it counts as gone.
        state: what it does.
        study_id: of the study whose trials it runs; None if none.
        reason: why it takes nothing; "" while it runs trials.
        skipped: why it serves no trial of a study, by the study's name.
        wanted: what somebody wants of it.
        until: when it is to give back what it still runs; None for its end.
    """

    version: str = ""
    device: str = ""
    lanes: int = 1
    patterns: tuple[str, ...] = ()
    joined: float = 0.0
    seen: float = 0.0
    seconds: float = GONE_SECONDS
    state: WorkerState = WorkerState.STARTING
    study_id: int | None = None
    reason: str = ""
    skipped: Mapping[str, str] = field(default_factory=dict)
    wanted: Wanted = Wanted.WORK
    until: float | None = None

    @property
    def short(self) -> str:
        """The beginning of its id, which is enough to name it."""
        return self.worker[:_SHORT]


@dataclass(frozen=True, kw_only=True)
class Order:
    """An order as a worker reads it, when it tells that it is alive.

    Attributes:
        wanted: of it.
        seconds: after which it is to give back what it still runs; None for never.
    """

    wanted: Wanted = Wanted.WORK
    seconds: float | None = None


def join(store: Store, worker: StayingWorker) -> None:
    """Enter a worker, and forget those that have been gone for a day."""
    with store.engine.begin() as connection:
        connection.execute(delete(WORKERS).where(WORKERS.c.seen < store.now() - _KEPT_SECONDS))
        values = _values(worker) | {"joined": store.now(), "seen": store.now()}
        connection.execute(insert(WORKERS).values(values))


def tell(store: Store, worker: StayingWorker) -> Order:
    """Tell that a worker is alive, and what it does; return what is wanted of it.

    Somebody may have removed its row: then it is entered again.
    """
    told = {key: _values(worker)[key] for key in ("state", "study_id", "reason", "skipped")}
    is_it = WORKERS.c.worker == worker.worker
    with store.engine.begin() as connection:
        done = connection.execute(
            update(WORKERS).where(is_it).values(told | {"seen": store.now()})
        )
        row = connection.execute(
            select(WORKERS.c.wanted, WORKERS.c.until, store.now().label("now")).where(is_it)
        ).first()
    if not done.rowcount or row is None:
        join(store, worker)
        return Order()
    left = None if row.until is None else max(0.0, row.until - row.now)
    return Order(
        wanted=Wanted(row.wanted) if row.wanted in list(Wanted) else Wanted.WORK, seconds=left
    )


def left_behind(store: Store) -> list[StayingWorker]:
    """Read the workers that are gone, and were serving a study when they were seen last."""
    return [
        worker
        for worker in read_workers(store)
        if worker.state is WorkerState.GONE and worker.study_id is not None
    ]


def settle(store: Store, worker: StayingWorker) -> None:
    """Note that the study of a worker that is gone has been looked after."""
    with store.engine.begin() as connection:
        connection.execute(
            update(WORKERS).where(WORKERS.c.worker == worker.worker).values(study_id=None)
        )


def leave(store: Store, worker: StayingWorker) -> None:
    """Remove a worker that ends."""
    with store.engine.begin() as connection:
        connection.execute(delete(WORKERS).where(WORKERS.c.worker == worker.worker))


def read_workers(store: Store) -> list[StayingWorker]:
    """Read all workers, first come first; those that were silent for too long are gone."""
    if not has_table(store, WORKERS):  # no version that knows it has written here
        return []
    with store.engine.connect() as connection:
        now = connection.scalars(select(store.now())).one()
        rows = connection.execute(select(WORKERS).order_by(WORKERS.c.joined, WORKERS.c.worker))
        return [_read(dict(row), now) for row in rows.mappings()]


def want(
    store: Store, worker: str, wanted: Wanted, *, within: float | None = None
) -> StayingWorker:
    """Say what is wanted of a worker; it reads that within seconds.

    Args:
        store: where it is entered.
        worker: its id, or as much of its beginning as names one alone.
        wanted: of it.
        within: seconds after which it gives back what it still runs; None for never.

    Returns:
        The worker, with what is wanted of it now.

    Raises:
        StudyError: there is none of that id, several, or it is gone.
    """
    found = find_worker(read_workers(store), worker, store.location.option)
    until = None if within is None else store.now() + literal(within)
    with store.engine.begin() as connection:
        connection.execute(
            update(WORKERS)
            .where(WORKERS.c.worker == found.worker)
            .values(wanted=wanted.value, until=until)
        )
    return replace(found, wanted=wanted)


def find_worker(workers: Sequence[StayingWorker], name: str, option: str) -> StayingWorker:
    """Find a worker by its id or the beginning of it. Raises StudyError; see ``want``."""
    found = [one for one in workers if name and one.worker.startswith(name)]
    if len(found) != 1:
        number = "several workers have" if found else "there is no worker with"
        raise (StudyError if found else StudyMissing)(
            f"{number} an id that begins with {name!r}; `cvfp-opt worker list{option}` shows them"
        )
    if found[0].state is WorkerState.GONE:
        raise StudyError(
            f"worker {found[0].short} on {found[0].host} is gone: it was silent for too long, and "
            "what it ran is taken over; there is nothing to end"
        )
    return found[0]


def _values(worker: StayingWorker) -> dict[str, Any]:
    found = {field.name: getattr(worker, field.name) for field in fields(worker)}
    return found | {
        "patterns": json.dumps(worker.patterns),
        "skipped": json.dumps(dict(worker.skipped)),
        "state": worker.state.value,
        "wanted": worker.wanted.value,
    }


def _read(row: dict[str, Any], now: float) -> StayingWorker:
    """Make a worker of its row; what another version wrote and cannot be read is left out."""
    state = row["state"]
    row |= {
        "patterns": tuple(map(str, _json(row["patterns"], list))),
        "skipped": {str(k): str(v) for k, v in _json(row["skipped"], dict).items()},
        "state": WorkerState(state) if state in list(WorkerState) else WorkerState.RUNNING,
        "wanted": _wanted(row["wanted"]),
    }
    worker = StayingWorker(**row)
    silent = now - worker.seen > worker.seconds
    if silent or (worker.machine == this_machine() and worker.has_ended()):
        return StayingWorker(**row | {"state": WorkerState.GONE})
    return worker


def _wanted(word: str) -> Wanted:
    return Wanted(word) if word in list(Wanted) else Wanted.WORK


def _json(text: str, kind: type) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return kind()
    return value if isinstance(value, kind) else kind()
