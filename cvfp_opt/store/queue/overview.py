"""The queue as a whole: what is wanted of each study, and how far it is, by a few statements."""

from collections import defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any

from optuna.trial import TrialState
from sqlalchemy import Connection, Row, Select, String, case, func, null, select, type_coerce

from cvfp_opt.store.database.damage import parsed
from cvfp_opt.store.database.kinds import Kind
from cvfp_opt.store.database.reading import one_moment
from cvfp_opt.store.database.storage import Store, has_table
from cvfp_opt.store.database.tables import LEASES, STUDIES, STUDY_USER_ATTRIBUTES, TRIALS
from cvfp_opt.store.queue.leases import Lease
from cvfp_opt.store.record.queue_entry import QUEUE, QueueEntry, QueueState
from cvfp_opt.store.record.records import CONFIRMS, MIRROR_OF, STUDY

_ATTRIBUTES = (
    select(
        STUDIES.c.study_id,
        STUDIES.c.study_name,
        STUDY_USER_ATTRIBUTES.c.key,
        case((STUDY_USER_ATTRIBUTES.c.key == QUEUE, STUDY_USER_ATTRIBUTES.c.value_json)),
    )
    .join(STUDY_USER_ATTRIBUTES, STUDY_USER_ATTRIBUTES.c.study_id == STUDIES.c.study_id)
    .where(STUDY_USER_ATTRIBUTES.c.key.in_((STUDY, MIRROR_OF, CONFIRMS, QUEUE)))
    .order_by(STUDIES.c.study_id)
)
_RUNNING = (
    select(TRIALS.c.study_id, TRIALS.c.number, LEASES)
    .outerjoin_from(TRIALS, LEASES, TRIALS.c.trial_id == LEASES.c.trial_id)
    .where(TRIALS.c.state == TrialState.RUNNING)
    .order_by(TRIALS.c.trial_id)
)
# In a database that this program has never written to.
_RUNNING_UNLEASED = (
    select(TRIALS.c.study_id, TRIALS.c.number, null().label("epoch"))
    .where(TRIALS.c.state == TrialState.RUNNING)
    .order_by(TRIALS.c.trial_id)
)


@cache
def _counts(kind: Kind) -> Select[Any]:
    """Select, of each study and state, how many trials, the times of starts, and what they took.

    Only trials that have ended have taken a time.
    """
    seconds = kind.between(TRIALS.c.datetime_start, TRIALS.c.datetime_complete)
    # without mirrors, which have two trials for each of a study
    ours = select(STUDY_USER_ATTRIBUTES.c.study_id).where(STUDY_USER_ATTRIBUTES.c.key == STUDY)
    sums = select(
        TRIALS.c.study_id,
        type_coerce(TRIALS.c.state, String).label("state"),
        func.count().label("trials"),
        # as texts: SQLite keeps anything in any column
        type_coerce(func.min(TRIALS.c.datetime_start), String).label("first"),
        type_coerce(func.max(TRIALS.c.datetime_start), String).label("last"),
        func.count(seconds).label("timed"),
        func.sum(case((seconds > 0.0, seconds), else_=0.0)).label("seconds"),
    )
    return sums.where(TRIALS.c.study_id.in_(ours)).group_by(TRIALS.c.study_id, TRIALS.c.state)


class Stage(StrEnum):
    """How a study in the queue stands; the values are the user's words."""

    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    SPENT = "budget spent"
    DONE = "done"
    UNASKED = "no total"


@dataclass(frozen=True, kw_only=True)
class RunningTrial:
    """A trial that runs.

    Attributes:
        number: of the trial.
        lease: its worker's; None if another program runs it.
        dead: whether its worker is, so that another may take it over.
    """

    number: int
    lease: Lease | None
    dead: bool


@dataclass(frozen=True, kw_only=True)
class QueuedStudy:
    """A study of this program, in the queue.

    Attributes:
        study_id: Optuna's.
        name: of the study.
        entry: what is wanted of it.
        counts: trials by state, in lower case.
        running: the trials that run, by number.
        spent: which budget is spent; "" while none is.
        first_start, last_start: when trials of it began, the first and the last, as the database
            has it; "" if none has.
        timed: trials that have ended, of which it is known how long they took.
        seconds: that these took together.
    """

    study_id: int
    name: str
    entry: QueueEntry
    counts: dict[str, int]
    running: tuple[RunningTrial, ...]
    spent: str
    last_start: str
    first_start: str = ""
    timed: int = 0
    seconds: float = 0.0

    @property
    def started(self) -> int:
        """Trials that have finished or run."""
        return sum(count for state, count in self.counts.items() if state != "waiting")

    @property
    def finished(self) -> int:
        """Trials that have ended, well or not."""
        return self.started - self.counts.get("running", 0)

    @property
    def abandoned(self) -> int:
        """Trials whose worker is dead, so that others may take them over."""
        return sum(trial.dead for trial in self.running)

    @property
    def workers(self) -> frozenset[str]:
        """The workers that run its trials now."""
        return frozenset(
            trial.lease.worker for trial in self.running if trial.lease and not trial.dead
        )

    @property
    def to_begin(self) -> int:
        """Trials that a worker may begin or take over now, whoever it is."""
        if self.entry.state is not QueueState.OPEN or self.spent or self.entry.total is None:
            return 0
        return max(0, self.entry.total - self.started) + self.abandoned

    @property
    def stage(self) -> Stage:
        """How it stands."""
        if self.entry.state is QueueState.CANCELLED:
            return Stage.CANCELLED
        if self.entry.total is not None and self.finished >= self.entry.total:
            return Stage.DONE
        if self.entry.state is QueueState.PAUSED:
            return Stage.PAUSED
        if self.spent:
            return Stage.SPENT
        if self.running:
            return Stage.RUNNING
        return Stage.UNASKED if self.entry.total is None else Stage.WAITING


def read_queue(store: Store) -> list[QueuedStudy]:
    """Read this program's studies, but for mirrors and confirmations, first created first."""
    with one_moment(store.engine) as connection:
        now = connection.scalars(select(store.now())).one()
        running = _running(connection, store, now)
        sums: defaultdict[int, _Sums] = defaultdict(_Sums)
        for row in connection.execute(_counts(store.kind)):
            sums[row.study_id].add(row)
        return [
            _queued(study_id, name, entry, sums[study_id], tuple(running[study_id]), now)
            for study_id, name, entry in _entries(connection)
        ]


@dataclass
class _Sums:
    """What the trials of a study come to."""

    counts: dict[str, int] = field(default_factory=dict)
    starts: list[str] = field(default_factory=list)
    timed: int = 0
    seconds: float = 0.0

    def add(self, row: Row[Any]) -> None:
        """Add the trials of one state."""
        self.counts[row.state.lower()] = row.trials
        self.starts += [str(one) for one in (row.first, row.last) if one is not None]
        self.timed += row.timed
        self.seconds += row.seconds or 0.0


def _queued(
    study_id: int,
    name: str,
    entry: QueueEntry,
    sums: _Sums,
    running: tuple[RunningTrial, ...],
    now: float,
) -> QueuedStudy:
    return QueuedStudy(
        study_id=study_id,
        name=name,
        entry=entry,
        counts=sums.counts,
        running=running,
        spent=entry.spent(failed=sums.counts.get("fail", 0), seconds=sums.seconds, now=now),
        first_start=min(sums.starts, default=""),
        last_start=max(sums.starts, default=""),
        timed=sums.timed,
        seconds=sums.seconds,
    )


def _entries(connection: Connection) -> list[tuple[int, str, QueueEntry]]:
    names: dict[int, str] = {}
    found: defaultdict[int, dict[str, str]] = defaultdict(dict)
    for study_id, name, key, value in connection.execute(_ATTRIBUTES):
        names[study_id] = name
        found[study_id][key] = value
    return [
        (
            study_id,
            names[study_id],
            QueueEntry.parse(parsed(keys[QUEUE]) if QUEUE in keys else None),
        )
        for study_id, keys in found.items()
        if STUDY in keys and not {MIRROR_OF, CONFIRMS} & keys.keys()
    ]


def _running(
    connection: Connection, store: Store, now: float
) -> defaultdict[int, list[RunningTrial]]:
    found: defaultdict[int, list[RunningTrial]] = defaultdict(list)
    query = _RUNNING if has_table(store, LEASES) else _RUNNING_UNLEASED
    for row in connection.execute(query).mappings():
        lease = None if row["epoch"] is None else Lease.of_row(dict(row))
        if lease is not None and lease.is_revoked:
            lease = None
        dead = lease is not None and lease.is_dead(now, one_host=store.kind.one_host)
        found[row["study_id"]].append(RunningTrial(number=row["number"], lease=lease, dead=dead))
    return found
