"""A search within a Dask worker, from the inside."""

import asyncio
import pickle
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from distributed import Worker, WorkerPlugin, get_worker

from cvfp_opt.training.device import resolve_device, set_threads
from cvfp_opt.tuning.environment import describe_environment
from cvfp_opt.tuning.stopping import SearchStopped
from cvfp_opt.workers.dask.task import TOPIC, Assignment, ends_after_trial
from cvfp_opt.workers.messages import (
    Began,
    Ended,
    Ending,
    Message,
    Sender,
    TrialDropped,
    TrialFinished,
    TrialStarted,
    failure,
)
from cvfp_opt.workers.task import Task

# Progress is sent no more often: every message goes through the one scheduler, which has others
# to serve.
PROGRESS_SECONDS = 0.5
# Nannies kill a worker that does not close within 4 s (one of ours) or 8 s (`dask worker`).
CLOSING_SECONDS = 10.0


class _Connection:
    """The task's connection to the engine.

    Attributes:
        busy: whether a trial runs, by the messages sent.
    """

    def __init__(self, worker: Worker, assignment: Assignment) -> None:
        self._worker = worker
        self._from = (assignment.run, assignment.key)
        self.busy = False

    def send(self, message: Message) -> None:
        match message:
            case TrialStarted():
                self.busy = True
            case TrialFinished() | TrialDropped():
                self.busy = False
        # the scheduler wants to read what it passes on: plain bytes it can
        try:
            self._worker.log_event(TOPIC, (*self._from, pickle.dumps(message)))
        except RuntimeError as error:  # its event loop is closed
            raise ConnectionError(str(error)) from None


class _TaskStop:
    """The Stop of a task: no signal ever reaches its thread.

    A task is unwanted when Dask has forgotten it: the engine cancelled it, or is gone.

    Attributes:
        ending: what it stopped for.
    """

    def __init__(self, worker: Worker, key: str, connection: _Connection) -> None:
        self._worker = worker
        self._key = key
        self._connection = connection
        self.ending = Ending.UNWANTED

    def check(self) -> None:
        ending = self._ending()
        if ending is not None:
            self.ending = ending
            raise SearchStopped(signal.SIGTERM)

    def _ending(self) -> Ending | None:
        if self._worker.status.name not in ("running", "paused"):
            return Ending.RETIRED
        task = self._worker.state.tasks.get(self._key)
        if task is None or task.state != "executing":
            return Ending.UNWANTED
        if ends_after_trial(self._key) and not self._connection.busy:
            return Ending.LEFT
        return None


class _Farewell(WorkerPlugin):
    """Keeps a closing Dask worker's connection open until its task has reported its end."""

    def __init__(self) -> None:
        self.ended = threading.Event()

    async def teardown(self, worker: Worker) -> None:
        deadline = time.monotonic() + CLOSING_SECONDS
        while not self.ended.is_set() and time.monotonic() < deadline:
            await asyncio.sleep(0.01)


def search(payload: bytes, assignment: Assignment) -> Message:
    """Search until nothing is left, or the task is to stop; return how it ended."""
    worker = get_worker()
    connection = _Connection(worker, assignment)
    connection.send(Began(assignment.threads))
    stop = _TaskStop(worker, assignment.key, connection)
    with _farewell(worker, assignment.key):
        message = _search(payload, assignment, connection, stop)
        with suppress(ConnectionError):
            connection.send(message)
    return message


def _search(
    payload: bytes, assignment: Assignment, connection: _Connection, stop: _TaskStop
) -> Message:
    try:
        task: Task = pickle.loads(payload)
        device = resolve_device(assignment.device)
        threads = set_threads(assignment.threads)
        deadline = None
        if assignment.seconds is not None:
            deadline = time.monotonic() + assignment.seconds
        environment = describe_environment(device, threads)
        task = replace(task, environment=environment, deadline=deadline)
        task.join(Sender(connection.send, PROGRESS_SECONDS), stop, remote=True)
    except SearchStopped:
        return Ended(stop.ending)
    except Exception as error:
        return failure(error)
    return Ended(Ending.DONE)


@contextmanager
def _farewell(worker: Worker, key: str) -> Iterator[None]:
    plugin, name = _Farewell(), f"farewell {key}"
    worker.loop.add_callback(worker.plugin_add, plugin, name=name)
    try:
        yield
    finally:
        plugin.ended.set()
        worker.loop.add_callback(_remove, worker, name)


async def _remove(worker: Worker, name: str) -> None:
    if name in worker.plugins:  # a worker that closes removes it by itself
        await worker.plugin_remove(name)
