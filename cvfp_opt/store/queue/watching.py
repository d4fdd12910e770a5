"""What no worker tells: a study that nobody serves, and ends that a killed worker left untold."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase

from sqlalchemy import ColumnElement, func, select

from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.tables import EVENTS, TRIALS
from cvfp_opt.store.queue.announcing import announce_end, epoch
from cvfp_opt.store.queue.events import LATELY_SECONDS, subject_of, write_event
from cvfp_opt.store.queue.overview import QueuedStudy, Stage, read_queue
from cvfp_opt.store.queue.workers import StayingWorker, WorkerState, read_workers
from cvfp_opt.store.record.event import EventKind
from cvfp_opt.store.record.progress import ProgressTracker
from cvfp_opt.store.record.studies import load_study

# A study that waits so long for a worker is told.
UNSERVED_MINUTES = 10.0

_ENDS = select(TRIALS.c.study_id, func.max(TRIALS.c.datetime_complete)).group_by(TRIALS.c.study_id)
_TOLD = (
    select(EVENTS.c.study_id, func.max(EVENTS.c.time))
    .where(EVENTS.c.kind != EventKind.UNSERVED.value)
    .group_by(EVENTS.c.study_id)
)


@dataclass(kw_only=True)
class Watch:
    """Looks at all studies again and again, and tells what nobody else does.

    Attributes:
        store: the database, open to write.
        minutes: for how long a study must have waited for a worker.
        patient: whether it looks again and again, and trusts what it has seen alone: a trial that
            was given back, say, leaves no time. If not, it goes by what the database has.
        now: SQL for the time; None for the database's own.
    """

    store: Store
    minutes: float = UNSERVED_MINUTES
    patient: bool = True
    now: Callable[[], ColumnElement[float]] | None = None
    _unserved: dict[int, float] = field(default_factory=dict)
    _ended: set[tuple[int, Stage, int]] = field(default_factory=set)

    def look(self) -> None:
        """Look once."""
        studies, workers = read_queue(self.store), read_workers(self.store)
        for one in studies:
            if one.stage in (Stage.DONE, Stage.SPENT):
                self._end(one)
        waiting = [one for one in studies if not is_served(one, workers)]
        now, since = self._times(waiting)
        for gone in self._unserved.keys() - since.keys():
            del self._unserved[gone]
        for one in waiting:
            first = self._unserved.setdefault(one.study_id, now)
            begun = since[one.study_id]
            waited = now - (max(first, begun) if self.patient else begun)
            if waited >= 60 * self.minutes and begun > now - LATELY_SECONDS:
                self._tell(one, begun, now - begun)

    def _end(self, one: QueuedStudy) -> None:
        seen = (one.study_id, one.stage, one.entry.version)
        if seen in self._ended:
            return
        study = load_study(self.store, one.name)
        announce_end(self.store, subject_of(study), ProgressTracker(study).progress().best)
        self._ended.add(seen)

    def _times(self, waiting: Sequence[QueuedStudy]) -> tuple[float, dict[int, float]]:
        """Give the time now, and since when, as the database has it, nothing happened to each."""
        with self.store.engine.connect() as connection:
            now = connection.scalars(select((self.now or self.store.now)())).one()
            found = {one.study_id: one.entry.submitted or 0.0 for one in waiting}
            if found:
                ends = [(key, epoch(end)) for key, end in connection.execute(_ENDS) if end]
                told = [(key, time) for key, time in connection.execute(_TOLD)]
                starts = [(one.study_id, _started(one)) for one in waiting]
                for key, time in (*ends, *told, *starts):
                    if key in found:
                        found[key] = max(found[key], time)
        return now, found

    def _tell(self, one: QueuedStudy, begun: float, waited: float) -> None:
        subject = subject_of(load_study(self.store, one.name))
        count = f"{one.to_begin} trial{'' if one.to_begin == 1 else 's'}"
        minutes = round(waited / 60)
        with self.store.engine.begin() as connection:
            write_event(
                connection,
                self.store,
                subject,
                EventKind.UNSERVED,
                f"{begun:.3f}",
                f"study {one.name} waits: for {minutes} min no worker has run any of its {count}",
                {"to_begin": one.to_begin, "minutes": minutes},
            )


def is_served(study: QueuedStudy, workers: Iterable[StayingWorker]) -> bool:
    """Check that a study waits for nobody: nothing to begin, or a worker runs or may take it."""
    if study.to_begin == 0 or study.workers:
        return True
    if any(trial.lease is None for trial in study.running):  # another program's
        return True
    return any(not why_not_served(study, worker) for worker in workers)


_TAKING = (WorkerState.STARTING, WorkerState.RUNNING, WorkerState.IDLE)


def why_not_served(study: QueuedStudy, worker: StayingWorker) -> str:
    """Say why a worker will run no trial of a study; "" if it may."""
    if worker.state not in _TAKING:
        return f"it is {worker.state.value}"
    if study.name in worker.skipped:
        return worker.skipped[study.name]
    if worker.patterns and not any(fnmatchcase(study.name, one) for one in worker.patterns):
        return f"it serves {' and '.join(worker.patterns)} alone"
    return ""


def _started(study: QueuedStudy) -> float:
    """Read when a trial of a study began last; 0 if none has, or it is no time."""
    try:
        return epoch(datetime.fromisoformat(study.last_start))
    except (ValueError, OverflowError):
        return 0.0
