"""What the engine asks of a Dask worker: where it is, to search, and to leave off.

Light at the top, because a Dask scheduler imports it too, to look at a task before it hands it
on: whatever needs torch or optuna is imported when the task runs.
"""

import os
import socket
from dataclasses import dataclass
from typing import Any

from cvfp_opt.version import __version__

# All runs of the engine tell on one topic: a scheduler keeps each topic's last messages for ever.
TOPIC = "cvfp-opt"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a Dask worker runs.

    Attributes:
        version: of cvfp-opt; what an installation says of itself may be older than its code.
        host: name of the machine, or of the container.
        boot: of the machine, the same in all its containers.
        processors: that it may use; workers of a machine with the same ones share them.
        threads: that may run at once on them: a container may be allowed less than it sees.
    """

    version: str
    host: str
    boot: str
    processors: tuple[int, ...]
    threads: int


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """The circumstances of one task.

    Attributes:
        run: of the engine, unique.
        key: the task's.
        device: as the user typed it; it may mean another one on each worker.
        threads: of torch.
        seconds: after so many no further trial is started; None for no end.
    """

    run: str
    key: str
    device: str
    threads: int
    seconds: float | None


# What was sent to this process: a pickled Task by the run that it is of, and keys of tasks that
# are to end between two trials.
_payloads: dict[str, bytes] = {}
_leaving: set[str] = set()


def code_version() -> str:
    """Of cvfp-opt here. Whoever can call it can import us."""
    return __version__


def describe() -> Place:
    """Where this process runs."""
    from dask.system import cpu_count

    from cvfp_opt.store.queue.leases import this_boot

    processors = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
    return Place(
        version=__version__,
        host=socket.gethostname(),
        boot=this_boot(),
        processors=tuple(sorted(processors)),
        threads=cpu_count(),
    )


def environment_here(device: str, threads: int) -> dict[str, Any]:
    """What a task would run on. Raises DeviceError if there is no such device."""
    from cvfp_opt.search.environment import describe_environment
    from cvfp_opt.training.device import resolve_device

    return describe_environment(resolve_device(device), threads)


def receive(run: str, payload: bytes) -> None:
    """Keep what a task of ``run`` will need."""
    _payloads[run] = payload


def forget(run: str) -> None:
    """No task of ``run`` will come."""
    _payloads.pop(run, None)


def leave(key: str) -> None:
    """Let a task end when its trial is over."""
    _leaving.add(key)


def is_leaving(key: str) -> bool:
    """Whether it was told so."""
    return key in _leaving


def take_payload(run: str) -> bytes:
    """Hand over what was received for a run; it is kept no longer."""
    return _payloads.pop(run)


def has_left(key: str) -> None:
    """Note that a task is over."""
    _leaving.discard(key)
