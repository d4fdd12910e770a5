"""The writer of a claimed trial: it is refused as soon as another worker has the trial."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from types import TracebackType
from typing import Self

from optuna.trial import TrialState
from sqlalchemy import Connection, Update, bindparam, select, update

from cvfp_opt.store.database.kinds import Kind
from cvfp_opt.store.database.retry import DATABASE_ERRORS
from cvfp_opt.store.database.rows import (
    PendingWrites,
    change_state,
    forget_attributes,
    write_pending,
    write_values,
)
from cvfp_opt.store.database.tables import LEASES, TRIALS
from cvfp_opt.store.queue.claims import ClaimedTrial, Claims
from cvfp_opt.store.queue.leases import LeaseLost
from cvfp_opt.store.queue.takeover import enqueue_again

# Expiry of the lease of a trial that its own worker ended; its epoch goes up once more.
_ENDED = 0.0

_OURS = update(LEASES).where(
    LEASES.c.trial_id == bindparam("of"),
    LEASES.c.epoch == bindparam("our_epoch"),
    LEASES.c.worker
    == bindparam("our_worker"),  # of a restored database, another may have the epoch
    select(TRIALS.c.trial_id)
    .where(TRIALS.c.trial_id == bindparam("of"), TRIALS.c.state == TrialState.RUNNING)
    .exists(),
)
_END = _OURS.values(expires=_ENDED, epoch=LEASES.c.epoch + 1)
_LEASE = select(LEASES.c.epoch, LEASES.c.expires, LEASES.c.worker).where(
    LEASES.c.trial_id == bindparam("of")
)


@cache
def _renew(kind: Kind) -> Update:
    return _OURS.values(expires=kind.now() + bindparam("lasting"))


@dataclass(kw_only=True)
class TrialWriter:
    """The writer of one claimed trial, from its claim to its end.

    Attributes:
        claims: what it was taken by.
        claimed: the trial.
        pending: values that are not written yet.
        by: the ``Worker.worker`` that has claimed it; that of ``claims``, if none is named.
        lost: whether the renewing thread found that somebody else has it.
    """

    claims: Claims
    claimed: ClaimedTrial
    pending: PendingWrites = field(default_factory=PendingWrites)
    by: str = ""
    lost: bool = False

    def __post_init__(self) -> None:
        self.by = self.by or self.claims.worker.worker

    def flush(self) -> None:
        """Write what was reported; renews the lease.

        Raises:
            LeaseLost: somebody else has the trial; nothing was written.
        """
        if not self.pending:
            return
        with self.claims.store.engine.begin() as connection:
            self._guard(connection)
            write_pending(connection, self.claimed.trial_id, self.pending)
        self.pending.clear()

    def finish(
        self,
        state: TrialState,
        values: Sequence[float] | None,
        forget: Sequence[str] = (),
    ) -> None:
        """Write what was reported, the values, and the end of the trial.

        May be repeated when it is not known whether it was written.

        Args:
            state, values: as Optuna's ``tell`` takes them.
            forget: keys of system attributes that are of use only while it runs.

        Raises:
            LeaseLost: somebody else has the trial; nothing was written.
        """
        with self.claims.store.engine.begin() as connection:
            try:
                self._guard(connection, last=True)
            except LeaseLost:
                if not self._is_ours_and_ended(connection):
                    raise
            else:
                self._write_end(connection, state, values, forget)
        self.drop()

    def end(
        self,
        connection: Connection,
        state: TrialState,
        values: Sequence[float] | None,
        forget: Sequence[str] = (),
    ) -> None:
        """Do what ``finish`` does, in a transaction of the caller's, and only once.

        Raises:
            LeaseLost: somebody else has the trial; nothing may be written.
        """
        self._guard(connection, last=True)
        self._write_end(connection, state, values, forget)

    def _write_end(
        self,
        connection: Connection,
        state: TrialState,
        values: Sequence[float] | None,
        forget: Sequence[str],
    ) -> None:
        write_pending(connection, self.claimed.trial_id, self.pending)
        forget_attributes(connection, self.claimed.trial_id, forget)
        write_values(connection, self.claimed.trial_id, values or ())
        if not change_state(connection, self.claimed.trial_id, TrialState.RUNNING, state):
            raise LeaseLost

    def give_back(self) -> bool:
        """Put the trial back into the queue; False if it was not ours any more."""
        self.drop()
        with self.claims.store.engine.begin() as connection:
            try:
                self._guard(connection)
            except LeaseLost:
                return False
            return enqueue_again(connection, self.claimed.trial_id, self.claimed.attempts)

    def renew(self) -> None:
        """Move the lease's expiry on. Raises LeaseLost."""
        with self.claims.store.engine.begin() as connection:
            self._guard(connection)

    def check(self) -> None:
        """Raise LeaseLost if the lease is known to be lost; asks nobody."""
        if self.lost:
            raise LeaseLost

    def drop(self) -> None:
        """Give up the claim, whatever the database has."""
        self.claims.claimed.pop(self.claimed.trial_id, None)

    def _guard(self, connection: Connection, *, last: bool = False) -> None:
        """Renew the lease, or end it, if it is ours and the trial runs. Locks its row."""
        ours = {
            "of": self.claimed.trial_id,
            "our_epoch": self.claimed.epoch,
            "our_worker": self.by,
        }
        if last:
            changed = connection.execute(_END, ours)
        else:
            renew = _renew(self.claims.store.kind)
            changed = connection.execute(renew, {**ours, "lasting": self.claims.seconds})
        if changed.rowcount != 1:
            raise LeaseLost

    def _is_ours_and_ended(self, connection: Connection) -> bool:
        """Check if our final transaction was committed although its acknowledgement was lost."""
        found = connection.execute(_LEASE, {"of": self.claimed.trial_id}).first()
        ended = self.claimed.epoch + 1, _ENDED, self.by
        return found is not None and tuple(found) == ended


class Renewer:
    """A thread that renews the leases of all claimed trials; a context manager.

    A database that does not answer is asked again: as long as it is away, nobody else can take
    the trials either.
    """

    def __init__(self, seconds: float) -> None:
        self._every = seconds / 3
        self._writers: list[TrialWriter] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="leases", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def add(self, writer: TrialWriter) -> None:
        """Renew the lease of this trial from here on."""
        with self._lock:
            self._writers.append(writer)

    def remove(self, writer: TrialWriter) -> None:
        """Stop renewing the lease of this trial."""
        with self._lock:
            self._writers.remove(writer)

    def _work(self) -> None:
        while not self._ended.wait(self._every):
            with self._lock:
                writers = list(self._writers)
            for writer in writers:
                with suppress(*DATABASE_ERRORS):
                    try:
                        writer.renew()
                    except LeaseLost:
                        # an ended trial is not renewed either, and is no loss
                        writer.lost = writer.claimed.trial_id in writer.claims.claimed
