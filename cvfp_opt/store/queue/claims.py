"""Claims: a worker's next trial is chosen and taken in one transaction."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Any

import optuna
from optuna.trial import TrialState
from sqlalchemy import Connection, Insert, bindparam, func, insert, select, update

from cvfp_opt.errors import StudyError
from cvfp_opt.store.database.damage import parsed
from cvfp_opt.store.database.kinds import Kind
from cvfp_opt.store.database.optuna_private import study_id_of
from cvfp_opt.store.database.rows import (
    DELETED,
    PendingWrites,
    change_state,
    clear_reported,
    insert_trial,
    lock_study,
    write_pending,
)
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.tables import (
    LEASES,
    SYSTEM_ATTRIBUTES,
    TRIALS,
)
from cvfp_opt.store.queue.announcing import announce_lost
from cvfp_opt.store.queue.entries import read_entry, read_identity, read_usage
from cvfp_opt.store.queue.leases import (
    FORMER_LEASE,
    LEASE_SECONDS,
    REVOKED,
    Lease,
    Worker,
    former_is_dead,
    is_former_lease,
)
from cvfp_opt.store.queue.takeover import end_by_force, enqueue_again
from cvfp_opt.store.record.event import Subject
from cvfp_opt.store.record.identity import IDENTITY_KEY, TrialIdentity
from cvfp_opt.store.record.point_checks import unfit
from cvfp_opt.store.record.queue_entry import QueueEntry, QueueState
from cvfp_opt.store.record.records import (
    CONFIRMATION_RUN,
    FIXED_PARAMS,
)

# Worker deaths after which a trial is given up: by then the trial itself probably kills them.
MAX_RETRIES = 3
# Status of a trial that nobody can run: its attributes, or its point, are not right.
REFUSED = "refused"


class NoTrial(Enum):
    """The reason why there is no trial to run."""

    DONE = "the total is reached"
    WAIT = "others run the last trials"
    FULL = "as many workers as the study may have run its trials"
    PAUSED = "the study is paused"
    CANCELLED = "the study is cancelled"
    SPENT = "the study's budget is spent"


_CLOSED = {QueueState.PAUSED: NoTrial.PAUSED, QueueState.CANCELLED: NoTrial.CANCELLED}


@dataclass(frozen=True, kw_only=True)
class ClaimedTrial:
    """A trial that this worker has taken.

    Attributes:
        trial_id: Optuna's.
        number: of the trial.
        epoch: of the lease; what is written to the trial has to name it.
        identity: the trial's identity.
        attempts: how many workers have died with it.
        new: whether it has never run before.
        run: of a confirmation, see record.confirmation; empty for all others.
        fixed: parameters that it is to take, from whoever enqueued it; see queue.enqueued.
        made: when the claim itself made it; None if it was there before.
    """

    trial_id: int
    number: int
    epoch: int
    identity: TrialIdentity
    attempts: int
    new: bool
    run: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    made: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class _Unfinished:
    """A trial that is enqueued or runs; it runs without a lease if another program runs it."""

    trial_id: int
    number: int
    state: TrialState
    lease: Lease | None


# One statement reads trials and leases: between two, a trial may end and its lease with it.
_UNFINISHED = (
    select(TRIALS.c.trial_id.label("id"), TRIALS.c.number, TRIALS.c.state, LEASES)
    .select_from(TRIALS)
    .outerjoin(LEASES, TRIALS.c.trial_id == LEASES.c.trial_id)
    .where(
        TRIALS.c.study_id == bindparam("of"),
        TRIALS.c.state.in_((TrialState.RUNNING, TrialState.WAITING)),
    )
    .order_by(TRIALS.c.number)
)
_COUNT = select(func.count()).select_from(TRIALS).where(TRIALS.c.study_id == bindparam("of"))
_SYSTEM_ATTRIBUTES = select(SYSTEM_ATTRIBUTES.c.key, SYSTEM_ATTRIBUTES.c.value_json).where(
    SYSTEM_ATTRIBUTES.c.trial_id == bindparam("of"),
    SYSTEM_ATTRIBUTES.c.key.in_(bindparam("keys", expanding=True)),
)


@cache
def _new_lease(kind: Kind) -> Insert:
    return insert(LEASES).values(expires=kind.now() + bindparam("lasting"))


@dataclass(kw_only=True)
class Claims:
    """The claims of one worker on a study's trials. Safe to use from several threads.

    Attributes:
        store, study: where the trials are.
        seed: of the study, for the identities of new trials.
        identity: of the study, see StudyRecord; known here too when the database is away.
        worker: who takes them.
        seconds: how long a lease lasts.
        max_retries: how often a trial is taken over before it counts as lost.
        notify: called with a line for each trial that was taken over or given up.
        claimed: trials that this worker runs now, by id.
    """

    store: Store
    study: optuna.Study
    seed: int
    identity: str = ""
    worker: Worker = field(default_factory=Worker.of_this_process)
    seconds: float = LEASE_SECONDS
    max_retries: int = MAX_RETRIES
    notify: Callable[[str], None] = lambda text: None
    claimed: dict[int, ClaimedTrial] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def claim(self, total: int) -> ClaimedTrial | NoTrial:
        """Take the next trial: one of a dead worker, one that is enqueued, or a new one.

        All of it is one transaction, in which nobody else claims: so the study never has more
        than ``total`` trials that are finished or running, however many workers ask.
        """
        notices: list[str] = []
        with self._lock:
            with self.store.engine.begin() as connection:
                found = None
                while found is None:  # what cannot be run was failed: look for the next one
                    found = self._claim(connection, total, notices)
            if isinstance(found, ClaimedTrial):
                self.claimed[found.trial_id] = found
        for notice in notices:
            self.notify(notice)
        return found

    def release_dead(self) -> list[int]:
        """Put the trials of dead workers back into the queue, and return their numbers."""
        notices: list[str] = []
        numbers = []
        with self.store.engine.begin() as connection:
            self._lock_study(connection)
            running, _ = self._unfinished(connection)
            for trial in self._dead(connection, running):
                if not self._give_up(connection, trial, notices):
                    enqueue_again(connection, trial.trial_id, _attempts(trial.lease) + 1)
                    numbers.append(trial.number)
        for notice in notices:
            self.notify(notice)
        return numbers

    # within the transaction

    def _lock_study(self, connection: Connection) -> None:
        """Lock the study, which may be gone; SQLite may have given its number to another one."""
        study_id = study_id_of(self.study)
        lock_study(connection, study_id)
        known = self.identity and self.store.kind.one_host
        if known and read_identity(connection, study_id) not in ("", self.identity):
            raise StudyError(DELETED)

    def _claim(
        self, connection: Connection, total: int, notices: list[str]
    ) -> ClaimedTrial | NoTrial | None:
        study_id = study_id_of(self.study)
        self._lock_study(connection)
        running, enqueued = self._unfinished(connection)
        for trial in running:  # we took it, but the acknowledgement was lost
            lease = trial.lease
            if lease and lease.worker == self.worker.worker and trial.trial_id not in self.claimed:
                return self._claimed(connection, trial, lease.epoch, lease.attempts, new=False)
        entry = read_entry(connection, study_id)
        if (closed := self._closed(connection, entry, running)) is not None:
            return closed
        total = total if entry.total is None else min(total, entry.total)
        for trial in self._dead(connection, running):
            if self._give_up(connection, trial, notices):
                continue
            taken = self._take(connection, trial, _attempts(trial.lease) + 1)
            if taken is not None:
                notices.append(f"trial {trial.number} was left by a dead worker: it goes on here")
                clear_reported(connection, trial.trial_id)
                return taken
        started = connection.execute(_COUNT, {"of": study_id}).scalar_one() - len(enqueued)
        if started >= total:
            ours = self.worker.worker, REVOKED
            others = any(t.lease and t.lease.worker not in ours for t in running)
            all_ended = started - len(running) >= total
            return NoTrial.WAIT if others and not all_ended else NoTrial.DONE
        return self._next(connection, enqueued, notices)

    def _closed(
        self, connection: Connection, entry: QueueEntry, running: list[_Unfinished]
    ) -> NoTrial | None:
        """Give the reason why no trial may begin here, whatever there is to run."""
        if entry.state in _CLOSED:
            return _CLOSED[entry.state]
        if not entry.has_budget and entry.max_workers is None:
            return None
        now = connection.scalars(select(self.store.now())).one()
        if entry.has_budget:
            used = read_usage(connection, self.store.kind, study_id_of(self.study))
            if entry.spent(failed=used.failed, seconds=used.seconds, now=now):
                return NoTrial.SPENT
        if entry.max_workers is not None:
            one_host, ours = self.store.kind.one_host, (self.worker.worker, REVOKED)
            others = {
                trial.lease.worker
                for trial in running
                if trial.lease
                and trial.lease.worker not in ours
                and not trial.lease.is_dead(now, one_host=one_host)
            }
            if len(others) >= entry.max_workers:
                return NoTrial.FULL
        return None

    def _next(
        self, connection: Connection, enqueued: list[_Unfinished], notices: list[str]
    ) -> ClaimedTrial | None:
        """Take the first enqueued trial, or a new one; None if one had to be failed."""
        for trial in enqueued:
            if reason := unfit(_system_attributes(connection, trial.trial_id)):
                end_by_force(connection, trial.trial_id, trial.state, REFUSED, reason)
                notices.append(f"trial {trial.number} cannot be run: {reason}")
                return None
            # another program may take one without our lock
            if change_state(connection, trial.trial_id, TrialState.WAITING, TrialState.RUNNING):
                taken = self._take(connection, trial, _attempts(trial.lease))
                assert taken is not None, "nobody runs an enqueued trial"
                return taken
        study_id, state, now = study_id_of(self.study), TrialState.RUNNING, datetime.now()
        trial_id, number = insert_trial(connection, study_id, state, now)
        trial = _Unfinished(trial_id=trial_id, number=number, state=state, lease=None)
        new = self._take(connection, trial, 0)
        assert new is not None
        return replace(new, made=now)

    def _take(
        self, connection: Connection, trial: _Unfinished, attempts: int
    ) -> ClaimedTrial | None:
        """Put our lease in the place of the former one; None if its worker was quicker."""
        before = trial.lease
        epoch = before.epoch + 1 if before else 1
        ours = {
            **vars(self.worker),
            "epoch": epoch,
            "seconds": self.seconds,
            "attempts": attempts,
        }
        if before is None:
            new_lease = {"trial_id": trial.trial_id, "lasting": self.seconds, **ours}
            connection.execute(_new_lease(self.store.kind), new_lease)
        else:
            ours["expires"] = self.store.now() + self.seconds
            # it may have been renewed, or the trial ended, since we looked
            same = (
                LEASES.c.trial_id == trial.trial_id,
                LEASES.c.epoch == before.epoch,
                LEASES.c.expires <= before.expires,
            )
            if connection.execute(update(LEASES).where(*same).values(**ours)).rowcount != 1:
                return None
        return self._claimed(connection, trial, epoch, attempts, new=before is None)

    def _claimed(
        self, connection: Connection, trial: _Unfinished, epoch: int, attempts: int, *, new: bool
    ) -> ClaimedTrial:
        attributes = _system_attributes(connection, trial.trial_id)
        identity = TrialIdentity.read(attributes.get(IDENTITY_KEY))
        if identity is None:
            identity = TrialIdentity.new(seed=self.seed, number=trial.number)
            written = PendingWrites(system_attrs={IDENTITY_KEY: identity.to_dict()})
            write_pending(connection, trial.trial_id, written)
        return ClaimedTrial(
            trial_id=trial.trial_id,
            number=trial.number,
            epoch=epoch,
            identity=identity,
            attempts=attempts,
            new=new,
            run=attributes.get(CONFIRMATION_RUN, {}),
            fixed=attributes.get(FIXED_PARAMS, {}),
        )

    def _unfinished(self, connection: Connection) -> tuple[list[_Unfinished], list[_Unfinished]]:
        """Read the trials that run, and those that are enqueued."""
        rows = connection.execute(_UNFINISHED, {"of": study_id_of(self.study)}).mappings()
        found = [
            _Unfinished(
                trial_id=row["id"],
                number=row["number"],
                state=row["state"],
                lease=None if row["epoch"] is None else Lease.of_row(row),
            )
            for row in map(dict, rows)
        ]
        running = [trial for trial in found if trial.state is TrialState.RUNNING]
        return running, [trial for trial in found if trial.state is TrialState.WAITING]

    def _dead(self, connection: Connection, running: list[_Unfinished]) -> list[_Unfinished]:
        """Select the running trials that may be taken over."""
        if not running:
            return []
        now = connection.scalars(select(self.store.now())).one()
        one_host = self.store.kind.one_host
        dead = []
        for trial in running:
            if trial.lease is None:
                former = _system_attributes(connection, trial.trial_id, FORMER_LEASE).get(
                    FORMER_LEASE
                )
                if is_former_lease(former) and former_is_dead(former):
                    dead.append(trial)
            elif trial.lease.is_revoked:
                continue  # given back, and then taken from the queue by another program
            elif trial.lease.is_dead(now, one_host=one_host):
                dead.append(trial)
            elif trial.lease.expires > now + 1.5 * trial.lease.seconds:
                _shorten(connection, trial, now)
        return [t for t in dead if t.trial_id not in self.claimed]

    def _give_up(self, connection: Connection, trial: _Unfinished, notices: list[str]) -> bool:
        """Fail a trial with which too many workers died, or that nobody can go on with."""
        deaths = _attempts(trial.lease) + 1
        status, reason = REFUSED, unfit(_system_attributes(connection, trial.trial_id))
        if deaths > self.max_retries:
            status, reason = "lost", f"{deaths} workers died while they ran it"
        if not reason:
            return False
        end_by_force(connection, trial.trial_id, TrialState.RUNNING, status, reason)
        notices.append(f"trial {trial.number} is given up: {reason}")
        study_id, name = study_id_of(self.study), self.study.study_name
        subject = Subject(study_id=study_id, name=name, identity=self.identity)
        announce_lost(connection, self.store, subject, trial.number, reason)
        return True


def _shorten(connection: Connection, trial: _Unfinished, now: float) -> None:
    """Shorten a lease after a clock was set back: else it outlives a dead worker by hours."""
    assert trial.lease is not None
    same = (LEASES.c.trial_id == trial.trial_id, LEASES.c.epoch == trial.lease.epoch)
    connection.execute(update(LEASES).where(*same).values(expires=now + trial.lease.seconds))


def _attempts(lease: Lease | None) -> int:
    return lease.attempts if lease else 0


def _system_attributes(connection: Connection, trial_id: int, *keys: str) -> dict[str, Any]:
    """Read some system attributes of a trial, by default those that decide how it is run."""
    asked = {"of": trial_id, "keys": keys or (IDENTITY_KEY, CONFIRMATION_RUN, FIXED_PARAMS)}
    rows = connection.execute(_SYSTEM_ATTRIBUTES, asked)
    return {row.key: parsed(row.value_json) for row in rows}
