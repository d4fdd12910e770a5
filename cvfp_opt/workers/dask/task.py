"""Functions that the engine calls on a Dask worker: describe it, search, end a search.

Light at the top, because a Dask scheduler imports it too, to look at a task before it hands it
on: whatever needs torch or optuna is imported when the task runs.
"""

import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cvfp_opt.version import __version__

if TYPE_CHECKING:
    from cvfp_opt.store.record.trial_attributes import StoredEnvironment
    from cvfp_opt.workers.messages import Message

# All runs of the engine send on one topic: a scheduler keeps each topic's last messages for ever.
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


# This process has received these: pickled Tasks by the runs that they are of, and keys of tasks
# that are to end between two trials.
_payloads: dict[str, bytes] = {}
_ending_tasks: set[str] = set()


def code_version() -> str:
    """Give the version of cvfp-opt here, which can be imported if this can be called."""
    return __version__


def describe() -> Place:
    """Describe where this process runs."""
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


def environment_here(device: str, threads: int) -> "StoredEnvironment":
    """Describe what a task would run on. Raises DeviceError if there is no such device."""
    from cvfp_opt.training.device import resolve_device
    from cvfp_opt.tuning.environment import describe_environment

    return describe_environment(resolve_device(device), threads)


def receive(run: str, payload: bytes) -> None:
    """Keep what a task of ``run`` needs."""
    _payloads[run] = payload


def forget(run: str) -> None:
    """Forget what was kept for tasks of ``run``: none will come."""
    _payloads.pop(run, None)


def end_after_trial(key: str) -> None:
    """Let a task end as soon as its trial is over."""
    _ending_tasks.add(key)


def ends_after_trial(key: str) -> bool:
    """Check if a task is to end between two trials."""
    return key in _ending_tasks


def search_here(assignment: Assignment) -> "Message":
    """Search with what was received, as a Dask task; return the last of its messages."""
    from cvfp_opt.workers.dask.search import search  # torch takes seconds

    try:
        return search(_payloads.pop(assignment.run), assignment)
    finally:
        _ending_tasks.discard(assignment.key)
