"""Worker processes on this machine, which feed one study and tell one observer."""

import multiprocessing
import pickle
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, resource_tracker
from multiprocessing.context import SpawnProcess

import optuna

from cvfp_opt.errors import SearchError
from cvfp_opt.search.observer import SearchObserver
from cvfp_opt.search.stopping import StopRequest
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.records import count_finished, count_taken, trial_records
from cvfp_opt.workers.messages import (
    Broken,
    Message,
    Notice,
    Refused,
    TrialDropped,
    TrialEvent,
    TrialFinished,
    TrialStarted,
)
from cvfp_opt.workers.process import work
from cvfp_opt.workers.task import Task

MAX_RESTARTS = 3


class WorkerError(Exception):
    """A bug that a worker met; its traceback is a note. No user can mend it: no CvfpOptError."""


@dataclass(eq=False)
class _Worker:
    """A process and its line to us; ``number`` is the trial it runs."""

    process: SpawnProcess
    connection: "connection.Connection"
    number: int | None = None


class LocalWorkers:
    """Processes that run a Task side by side.

    Args:
        task: the same for each.
        count: how many.
        store, study: opened by this process, which claims no trial itself.
        observer: told what all of them do.
    """

    def __init__(
        self, task: Task, count: int, store: Store, study: optuna.Study, observer: SearchObserver
    ) -> None:
        self._task = task
        self._count = count
        self._store = store
        self._study = study
        self._observer = observer
        self._workers: list[_Worker] = []
        self._stopping = False
        self._num_deaths = 0
        self._told: set[str] = set()
        # Plain pickle: multiprocessing's own would move tensors to shared memory, of which a
        # container may have too little for a table of embeddings.
        self._payload = pickle.dumps(task)

    def stop(self) -> None:
        """Let every worker give its trial back. May be called from a signal handler."""
        self._stopping = True
        for worker in self._workers:
            worker.process.terminate()

    def run(self, stop: StopRequest) -> None:
        """Start the workers and listen until all have ended.

        Whatever ends this, no process is left, and no trial of one is left running.

        Args:
            stop: its ``notify`` must call ``self.stop``.

        Raises:
            SearchStopped: the running trials were given back.
            CvfpOptError: a worker met it; the others were ended.
            SearchError: workers died too often, and trials are left undone.
            WorkerError: a worker met a bug.
        """
        try:
            self._start(self._count)
            while self._workers:
                ready = connection.wait([worker.connection for worker in self._workers])
                for worker in [w for w in self._workers if w.connection in ready]:
                    self._listen(worker)
            stop.check()
        finally:
            for worker in self._workers:
                worker.process.kill()
                worker.process.join()
            self._task.claims(self._store, self._study).release_dead()
        self._check_undone()

    def _start(self, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        started = []
        for _ in range(count):
            if self._stopping:
                break
            ours, theirs = context.Pipe()
            process = context.Process(target=work, args=(theirs,), daemon=True)
            with _sigint_blocked():
                process.start()
            theirs.close()  # or its end would never be seen
            started.append(_Worker(process, ours))
            self._workers.append(started[-1])
        if self._stopping:
            self.stop()  # it may have missed the one being started
        for worker in started:  # after all were started: a large payload waits for its reader
            with suppress(ConnectionError):  # ended already; seen by the one who listens
                worker.connection.send_bytes(self._payload)

    def _listen(self, worker: _Worker) -> None:
        try:
            message: Message = worker.connection.recv()
        except (EOFError, OSError):  # ended; a killed one may have left half a message
            self._ended(worker)
            return
        match message:
            case Notice(text):
                if text not in self._told:  # workers often meet the same thing
                    self._observer.notice(text)
                self._told.add(text)
            case TrialStarted(number, params):
                worker.number = number
                self._observer.trial_started(number, params)
            case TrialEvent(number, event):
                self._observer.trial_event(number, event)
            case TrialFinished(record):
                worker.number = None
                # what another worker finished is counted when its own message comes
                untold = {other.number for other in self._workers}
                records = [r for r in trial_records(self._study) if r.number not in untold]
                self._observer.trial_finished(record, records)
            case TrialDropped(number):
                worker.number = None
                self._observer.trial_dropped(number)
            case Refused(error):
                raise error
            case Broken(text, trace):
                bug = WorkerError(f"{text} (in a worker process)")
                bug.add_note(trace)
                raise bug

    def _ended(self, worker: _Worker) -> None:
        worker.process.join()  # also makes it known as dead: a zombie would still have its pid
        worker.connection.close()
        self._workers.remove(worker)
        status = worker.process.exitcode
        if status == 0 or self._stopping:
            return
        self._num_deaths += 1
        self._observer.notice(_death(worker, status))
        if self._num_deaths <= MAX_RESTARTS and count_finished(self._study) < self._task.total:
            self._start(1)

    def _check_undone(self) -> None:
        left = self._task.total - count_taken(self._study)  # what others run is not undone
        if self._num_deaths > MAX_RESTARTS and left > 0:
            raise SearchError(
                f"{left} of {self._task.total} trials are left undone: {self._num_deaths} worker "
                "processes died; find out why (too little memory?), then type the same command "
                "again, perhaps with a smaller --n-jobs"
            )


def _death(worker: _Worker, status: int | None) -> str:
    how = f"ended with exit status {status}"
    if status is not None and status < 0:
        how = f"was killed by {signal.Signals(-status).name} (exit status {status})"
    trial = f", which ran trial {worker.number}," if worker.number is not None else ""
    return f"worker process {worker.process.pid}{trial} {how}"


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """A process started meanwhile never sees ^C; to us it comes a moment later."""
    resource_tracker.ensure_running()  # starting it would unblock the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
