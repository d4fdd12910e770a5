"""Writing to a trial that is held: refused as soon as somebody else has it."""

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
    Reported,
    change_state,
    forget_attributes,
    write_reported,
    write_values,
)
from cvfp_opt.store.database.tables import LEASES, TRIALS
from cvfp_opt.store.queue.claims import Claims, Held, wait
from cvfp_opt.store.queue.leases import LeaseLost

# The expiry of a lease whose holder ended the trial itself; its epoch goes up once more.
_ENDED = 0.0

_OURS = update(LEASES).where(
    LEASES.c.trial_id == bindparam("of"),
    LEASES.c.epoch == bindparam("held"),
    LEASES.c.worker == bindparam("holder"),  # of a restored database, another may have the epoch
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
class Hold:
    """This worker's hold on a trial, from its claim to its end.

    Attributes:
        claims: what it was taken by.
        held: the trial.
        reported: what it has to say and has not written yet.
        by: who holds it, by ``Worker.worker``; the worker that claims, if none is named.
        lost: whether the renewing thread found that somebody else has it.
    """

    claims: Claims
    held: Held
    reported: Reported = field(default_factory=Reported)
    by: str = ""
    lost: bool = False

    def __post_init__(self) -> None:
        self.by = self.by or self.claims.worker.worker

    def flush(self) -> None:
        """Write what was reported; renews the lease.

        Raises:
            LeaseLost: somebody else has the trial; nothing was written.
        """
        if not self.reported:
            return
        with self.claims.store.engine.begin() as connection:
            self._guard(connection)
            write_reported(connection, self.held.trial_id, self.reported)
        self.reported.clear()

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
        write_reported(connection, self.held.trial_id, self.reported)
        forget_attributes(connection, self.held.trial_id, forget)
        write_values(connection, self.held.trial_id, values or ())
        if not change_state(connection, self.held.trial_id, TrialState.RUNNING, state):
            raise LeaseLost

    def give_back(self) -> bool:
        """Let the trial wait for whoever claims it next; False if it was not ours any more."""
        self.drop()
        with self.claims.store.engine.begin() as connection:
            try:
                self._guard(connection)
            except LeaseLost:
                return False
            return wait(connection, self.held.trial_id, self.held.attempts)

    def renew(self) -> None:
        """Move the lease's expiry on. Raises LeaseLost."""
        with self.claims.store.engine.begin() as connection:
            self._guard(connection)

    def check(self) -> None:
        """Raise LeaseLost if the lease is known to be lost; asks nobody."""
        if self.lost:
            raise LeaseLost

    def drop(self) -> None:
        """Hold it no longer, whatever the database says."""
        self.claims.held.pop(self.held.trial_id, None)

    def _guard(self, connection: Connection, *, last: bool = False) -> None:
        """Renew the lease, or end it, if it is ours and the trial runs. Locks its row."""
        ours = {"of": self.held.trial_id, "held": self.held.epoch, "holder": self.by}
        if last:
            changed = connection.execute(_END, ours)
        else:
            renew = _renew(self.claims.store.kind)
            changed = connection.execute(renew, {**ours, "lasting": self.claims.seconds})
        if changed.rowcount != 1:
            raise LeaseLost

    def _is_ours_and_ended(self, connection: Connection) -> bool:
        """Whether a transaction of ours got through of which no answer came."""
        found = connection.execute(_LEASE, {"of": self.held.trial_id}).first()
        ended = self.held.epoch + 1, _ENDED, self.by
        return found is not None and tuple(found) == ended


class Renewer:
    """A thread that renews the leases of all that is held; a context manager.

    A database that does not answer is asked again: as long as it is away, nobody else can take
    the trials either.
    """

    def __init__(self, seconds: float) -> None:
        self._every = seconds / 3
        self._holds: list[Hold] = []
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

    def add(self, hold: Hold) -> None:
        """Renew this one from here on."""
        with self._lock:
            self._holds.append(hold)

    def remove(self, hold: Hold) -> None:
        """No longer."""
        with self._lock:
            self._holds.remove(hold)

    def _work(self) -> None:
        while not self._ended.wait(self._every):
            with self._lock:
                holds = list(self._holds)
            for hold in holds:
                with suppress(*DATABASE_ERRORS):
                    try:
                        hold.renew()
                    except LeaseLost:
                        # an ended trial is not renewed either, and is no loss
                        hold.lost = hold.held.trial_id in hold.claims.held
