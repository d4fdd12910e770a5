"""Who runs a trial: enough to tell, on the same machine, whether it still does."""

import os
import socket
import uuid
from dataclasses import asdict, dataclass
from typing import Any, Self

import psutil

# The key of a trial's system attribute.
LEASE = "cvfp_opt:lease"


@dataclass(frozen=True, kw_only=True)
class Lease:
    """One worker's claim on a trial.

    Attributes:
        worker: an id of its own for each worker.
        host: name of its machine.
        pid: its process.
        started: when that process started, epoch seconds: a pid alone is used again.
    """

    worker: str
    host: str
    pid: int
    started: float

    @classmethod
    def of_this_process(cls) -> Self:
        """A lease for a new worker in this process."""
        return cls(
            worker=uuid.uuid4().hex,
            host=socket.gethostname(),
            pid=os.getpid(),
            started=psutil.Process().create_time(),
        )

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Self:
        """From what ``to_dict`` gave."""
        return cls(**value)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

    def is_dead(self) -> bool:
        """Whether the worker can't be running any more.

        An SQLite database serves one machine. So a lease of another host came along with a copy
        of the database, and its worker is writing elsewhere if anywhere.
        """
        if self.host != socket.gethostname():
            return True
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:  # ended, but nobody has asked how
                return True
            return abs(process.create_time() - self.started) > 1.0
        except psutil.NoSuchProcess:
            return True
