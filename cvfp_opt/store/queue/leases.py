"""Leases: which worker runs a trial, until when, and whether it is alive.

A trial that runs has a row in a table of ours beside Optuna's. Its ``epoch`` goes up by one
whenever somebody takes the trial; whoever writes to the trial names the epoch that it was given,
and is refused if it is no longer that one. So two workers never write to one trial, however late
one of them wakes up; and the time of expiry, which its worker's thread moves on, only says when
others may take the trial.
"""

import os
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Self, TypeGuard

import psutil
from sqlalchemy import Connection, select

from cvfp_opt.store.database.damage import values_read
from cvfp_opt.store.database.number_checks import is_finite, is_whole
from cvfp_opt.store.database.tables import LEASES, TRIALS

# A lease lasts so long without renewal; workers renew it after a third of that.
LEASE_SECONDS = 60.0

# The worker of a lease that is nobody's: its trial waits, has ended, or another program runs it.
REVOKED = ""

# No system has a process id as large as this.
_END_OF_PIDS = 2**31

# System attribute with the lease in record format 1: worker, host, pid, started.
FORMER_LEASE = "cvfp_opt:lease"


class LeaseLost(Exception):
    """Raised when another worker has taken or ended the trial: nothing may be written to it."""


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A process, or one task of it, that runs trials.

    Attributes:
        worker: an id of its own for each worker.
        host: name of its machine, for people.
        machine: what pids can be compared within, see ``this_machine``.
        pid: its process.
        started: when that process started, epoch seconds: a pid alone is used again.
    """

    worker: str
    host: str
    machine: str
    pid: int
    started: float

    @classmethod
    def of_this_process(cls) -> Self:
        """Make a new worker in this process."""
        return cls(
            worker=uuid.uuid4().hex,
            host=socket.gethostname(),
            machine=this_machine(),
            pid=os.getpid(),
            started=psutil.Process().create_time(),
        )

    def has_ended(self) -> bool:
        """Check whether its process, on this machine, is gone."""
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:  # ended, but nobody has asked how
                return True
            started: float = process.create_time()
            return abs(started - self.started) > 1.0
        except psutil.NoSuchProcess:
            return True


@dataclass(frozen=True, kw_only=True)
class Lease(Worker):
    """A worker's lease of a trial.

    Attributes:
        epoch: how often the trial has been taken so far.
        expires: epoch seconds by the database's clock.
        seconds: how long it lasts from each renewal.
        attempts: how many workers died while they ran the trial.
    """

    epoch: int
    expires: float
    seconds: float
    attempts: int

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Self:
        """Make one of a row of LEASES.

        Raises:
            Damaged: somebody else wrote it.
        """
        lease = cls(**{field.name: row[field.name] for field in fields(cls)})
        with values_read(f"lease of the trial of id {row['trial_id']}"):
            lease._check()
        return lease

    def _check(self) -> None:
        """Raise ValueError for what SQLite keeps and this program never writes."""
        for figure in (self.started, self.expires, self.seconds):
            if not is_finite(figure):
                raise ValueError(f"a time is {figure!r}")
        ends = (self.pid, _END_OF_PIDS), (self.epoch, 2**31), (self.attempts, 2**31)
        for count, end in ends:
            if not is_whole(count, end):
                raise ValueError(f"a whole number is {count!r}")
        for text in (self.worker, self.host, self.machine):
            if not isinstance(text, str):
                raise ValueError(f"a name is {text!r}")

    @property
    def is_revoked(self) -> bool:
        """Check whether it was taken from its worker, or given back.

        A trial that runs all the same was taken from the queue by another program.
        """
        return self.worker == REVOKED

    def is_dead(self, now: float, *, one_host: bool) -> bool:
        """Check whether the trial may be taken over.

        Args:
            now: epoch seconds by the database's clock.
            one_host: whether all workers of the database are on this machine.
        """
        if self.expires < now:
            return True
        if self.machine == this_machine():
            return self.has_ended()
        # the one host was restarted, or the file was copied from another
        return one_host and _boot(self.machine) != this_boot()


def read_leases(connection: Connection, study_id: int) -> dict[int, Lease]:
    """Read the leases of a study's trials, by trial id."""
    rows = connection.execute(
        select(LEASES)
        .join(TRIALS, TRIALS.c.trial_id == LEASES.c.trial_id)
        .where(TRIALS.c.study_id == study_id)
    )
    return {row["trial_id"]: Lease.of_row(row) for row in map(dict, rows.mappings())}


def is_former_lease(value: Any) -> TypeGuard[Mapping[str, Any]]:
    """Check whether a value is a lease of record format 1."""
    return (
        isinstance(value, dict)
        and all(isinstance(value.get(key), str) for key in ("worker", "host"))
        and is_whole(value.get("pid"), _END_OF_PIDS)
        and is_finite(value.get("started"))
    )


def former_is_dead(value: Mapping[str, Any]) -> bool:
    """Check if the worker of a lease of record format 1, which only SQLite files had, is gone."""
    if value["host"] != socket.gethostname():
        return True
    worker = Worker(
        worker=value["worker"],
        host=value["host"],
        machine=this_machine(),
        pid=value["pid"],
        started=value["started"],
    )
    return worker.has_ended()


@cache
def this_machine() -> str:
    """Return ``BOOT/PIDS``: this start of this machine, and the space that pids are counted in.

    Two containers with one host name must not judge each other's pids.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = os.readlink("/proc/self/ns/pid")
    except OSError:  # not Linux: no containers of its own, either
        boot, space = f"{socket.gethostname()} {psutil.boot_time():.0f}", "pid"
    return f"{boot}/{space}"


def this_boot() -> str:
    """Identify this start of this machine, the same in all its containers."""
    return _boot(this_machine())


def _boot(machine: str) -> str:
    return machine.partition("/")[0]
