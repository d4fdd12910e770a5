"""What a study's trials show, told as events: its end, a spent budget, a new best, failures.

Each is found in what the database has, and written once whoever finds it: a process that is killed
between a trial's end and the event leaves it to the next one that looks.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import optuna
from optuna.trial import TrialState
from sqlalchemy import Connection, bindparam, func, select

from cvfp_opt.escaping import excerpt
from cvfp_opt.store.database.damage import UNREADABLE, damage, parsed
from cvfp_opt.store.database.retry import DATABASE_ERRORS
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.tables import EVENTS, TRIALS, USER_ATTRIBUTES
from cvfp_opt.store.queue.entries import read_entry, read_usage
from cvfp_opt.store.queue.events import (
    LATELY_SECONDS,
    event_of,
    is_told,
    lock_events,
    subject_of,
    write_event,
)
from cvfp_opt.store.record.decisions import decisive
from cvfp_opt.store.record.event import Event, EventKind, Subject
from cvfp_opt.store.record.queue_entry import QueueEntry
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.retries import uuid_of

# A new best is told no more often, but for the last one when a search ends.
BEST_SECONDS = 60.0
# Failures in a row that are told, each once in a row.
FAILURES = (3, 10, 30, 100)

_COUNTS = (
    select(TRIALS.c.state, func.count(), func.max(TRIALS.c.datetime_complete))
    .where(TRIALS.c.study_id == bindparam("of"))
    .group_by(TRIALS.c.state)
)
_ENDED = (
    select(TRIALS.c.trial_id, TRIALS.c.number, TRIALS.c.state)
    .where(
        TRIALS.c.study_id == bindparam("of"),
        TRIALS.c.state.not_in((TrialState.WAITING, TrialState.RUNNING)),
    )
    .order_by(TRIALS.c.datetime_complete.desc(), TRIALS.c.number.desc())
    .limit(FAILURES[-1] + 1)
)
_ACCOUNTS = select(
    USER_ATTRIBUTES.c.trial_id, USER_ATTRIBUTES.c.key, USER_ATTRIBUTES.c.value_json
).where(
    USER_ATTRIBUTES.c.trial_id.in_(bindparam("ids", expanding=True)),
    USER_ATTRIBUTES.c.key.in_(("status", "reason")),
)
_LAST_BEST = (
    select(EVENTS)
    .where(
        EVENTS.c.study_id == bindparam("of"),
        EVENTS.c.identity == bindparam("known"),
        EVENTS.c.kind == EventKind.BEST.value,
    )
    .order_by(EVENTS.c.id.desc())
    .limit(1)
)


@contextmanager
def untold() -> Iterator[None]:
    """Go on where the database is away, or damaged: an event is worth the end of no search."""
    try:
        yield
    except DATABASE_ERRORS:
        pass
    except UNREADABLE as error:
        if not damage(error):
            raise


@dataclass(kw_only=True)
class Announcer:
    """Tells what happens in a study that this process searches. Safe to use from threads.

    It asks the database only where there may be something to tell.

    Attributes:
        store, study: where the trials are.
    """

    store: Store
    study: optuna.Study
    _told: int | None = None
    _again: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def trial_ended(self, record: TrialRecord, best: TrialRecord | None) -> None:
        """Tell of a new best, and of failures in a row, after a trial."""
        if record.state == "fail" and record.status != "diverged":
            with untold():
                announce_failures(self.store, self._subject)
        self._announce_best(best, BEST_SECONDS)

    def search_ended(self, best: TrialRecord | None, *, moves_on: bool = False) -> None:
        """Tell what is left when a search ends: the best, and whether the study is done.

        Args:
            best: the study's best trial.
            moves_on: whether this is a worker that goes to another study, maybe after each trial:
                then the best is told as often as ever, and at once only if the study is done.
        """
        self._announce_best(best, BEST_SECONDS if moves_on else 0.0)
        with untold():
            if announce_end(self.store, self._subject, best):
                self._announce_best(best, 0.0)

    def _announce_best(self, best: TrialRecord | None, pause: float) -> None:
        if best is None or best.run:  # a confirmation's trials compete with nobody
            return
        with self._lock, untold():
            if best.number == self._told or (pause and time.monotonic() < self._again):
                return
            left = announce_best(self.store, self._subject, best, pause)
            self._again = time.monotonic() + left
            self._told = best.number if not left else self._told

    @cached_property
    def _subject(self) -> Subject:
        return subject_of(self.study)


def announce_best(store: Store, subject: Subject, best: TrialRecord, pause: float) -> float:
    """Tell of a study's best trial, if it passed its audit and has not been told.

    Args:
        store, subject: the study.
        best: its best trial.
        pause: seconds that must have passed since the best before it was told.

    Returns:
        Seconds after which to ask again; 0 if nothing is left to tell of it.
    """
    if not passed_audit(best):
        return 0.0
    which = uuid_of(best, subject.identity)
    with store.engine.begin() as connection:
        lock_events(connection)
        now = connection.scalars(select(store.now())).one()
        last = _last_best(connection, subject)
        if best.completed is None or best.completed < now - LATELY_SECONDS:
            return 0.0
        if last is not None:
            told = last.details.get("score")
            if isinstance(told, int | float) and told >= (best.value or 0.0):
                return 0.0
            if 0.0 <= now - last.time < pause:
                return pause - (now - last.time)
        text = f"study {subject.name}: trial {best.number} is the new best, score {best.value:.4f}"
        details = _details_of(best) | {"before": last and last.details.get("score")}
        write_event(connection, store, subject, EventKind.BEST, which, text, details)
    return 0.0


def passed_audit(trial: TrialRecord) -> bool:
    """Check that it may win, and nothing in its audit decides against it; not if it has none."""
    if not trial.audit or trial.value is None or not trial.feasible:
        return False
    steps = trial.environment.get("optimizer_steps", 1)
    return all(one <= 0 for one in decisive(trial.value, trial.audit, steps).values())


def announce_end(store: Store, subject: Subject, best: TrialRecord | None) -> bool:
    """Tell that a study has all of its trials, or that its budget is spent; False if neither.

    Args:
        store, subject: the study.
        best: its best trial.
    """
    with store.engine.begin() as connection:
        entry = read_entry(connection, subject.study_id)
        if entry.total is None and not entry.has_budget:
            return False
        counts, last = _counts(connection, subject.study_id)
        finished = sum(n for state, n in counts.items() if state not in ("running", "waiting"))
        now = connection.scalars(select(store.now())).one()
        if last is None or last < now - LATELY_SECONDS:
            return False
        details: dict[str, Any] = {"total": entry.total, "finished": finished, "counts": counts}
        details["best"] = _details_of(best) if best else None
        won = _won(best)
        if entry.total is not None and finished >= entry.total:
            kind, which = EventKind.DONE, str(entry.total)
            text = f"study {subject.name} is done: {finished} of {entry.total} trials{won}"
        elif spent := _spent(connection, store, subject.study_id, entry, now):
            kind, which = EventKind.SPENT, f"{entry.until}/{entry.max_failed}/{entry.max_seconds}"
            text = f"study {subject.name}: its budget is spent: {spent}{won}"
            details["spent"] = spent
        else:
            return False
        if is_told(connection, subject.cause(kind, which)):
            return True
        write_event(connection, store, subject, kind, which, text, details)
    return True


def announce_failures(store: Store, subject: Subject) -> None:
    """Tell that the study's last trials have all failed, if there are 3, 10, 30 or 100 of them.

    Diverged trials have run as they should, and are none.
    """
    with store.engine.begin() as connection:
        ended = connection.execute(_ENDED, {"of": subject.study_id}).all()
        failed = [row.trial_id for row in ended if row.state is TrialState.FAIL]
        accounts: dict[int, dict[str, str]] = {one: {} for one in failed}
        for trial_id, key, value in connection.execute(_ACCOUNTS, {"ids": failed}):
            accounts[trial_id][key] = str(parsed(value))
        numbers = []
        for row in ended:
            account = accounts.get(row.trial_id)
            if account is None or account.get("status") == "diverged":
                break
            numbers.append(row.number)
        told = [number for number in FAILURES if number <= len(numbers)]
        if not told or len(numbers) > FAILURES[-1]:
            return
        newest = accounts[ended[0].trial_id]
        reason = excerpt(newest.get("reason", ""))
        text = f"study {subject.name}: the last {len(numbers)} trials failed, the newest with: "
        write_event(
            connection,
            store,
            subject,
            EventKind.FAILURES,
            f"{numbers[-1]}/{told[-1]}",
            f"{text}{reason}",
            {"in_a_row": len(numbers), "trials": sorted(numbers), "reason": reason},
        )


def announce_submitted(store: Store, study: optuna.Study, entry: QueueEntry) -> None:
    """Tell that a study was created with its place in the queue."""
    subject = subject_of(study)
    trials = "1 trial" if entry.total == 1 else f"{entry.total} trials"
    text = f"study {subject.name} is submitted, {trials}"
    details: dict[str, Any] = {"total": entry.total, "owner": entry.owner}
    details |= {"priority": entry.priority, "weight": entry.weight, "tags": list(entry.tags)}
    with store.engine.begin() as connection:
        write_event(connection, store, subject, EventKind.SUBMITTED, "", text, details)


def announce_lost(
    connection: Connection, store: Store, subject: Subject, number: int, reason: str
) -> None:
    """Tell, in the transaction that does it, that a trial was given up."""
    text = f"study {subject.name}: trial {number} is lost: {reason}"
    details = {"trial": number, "reason": reason}
    write_event(connection, store, subject, EventKind.LOST, number, text, details)


def _details_of(trial: TrialRecord) -> dict[str, object]:
    untrained = trial.audit["baseline"]["score"] if trial.audit else None
    return {
        "trial": trial.number,
        "score": trial.value,
        "untrained_score": untrained,
        "passed_audit": passed_audit(trial),
    }


def _won(trial: TrialRecord | None) -> str:
    if trial is None or trial.value is None:
        return ""
    return f", best score {trial.value:.4f} (trial {trial.number})"


def _last_best(connection: Connection, subject: Subject) -> Event | None:
    asked = {"of": subject.study_id, "known": subject.identity}
    row = connection.execute(_LAST_BEST, asked).mappings().first()
    return None if row is None else event_of(dict(row))


def _counts(connection: Connection, study_id: int) -> tuple[dict[str, int], float | None]:
    """Count trials by state; give the time when one ended last, too."""
    counts: dict[str, int] = {}
    last: float | None = None
    for state, count, completed in connection.execute(_COUNTS, {"of": study_id}):
        counts[state.name.lower()] = count
        if completed is not None:
            last = max(last or 0.0, epoch(completed))
    return counts, last


def epoch(moment: datetime) -> float:
    """Convert naive UTC, as it is stored, to epoch seconds."""
    return moment.replace(tzinfo=UTC).timestamp()


def _spent(
    connection: Connection, store: Store, study_id: int, entry: QueueEntry, now: float
) -> str:
    if not entry.has_budget:
        return ""
    used = read_usage(connection, store.kind, study_id)
    return entry.spent(failed=used.failed, seconds=used.seconds, now=now)
