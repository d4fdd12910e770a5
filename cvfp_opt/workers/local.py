"""Worker processes on this machine, which feed one study and tell one observer."""

import pickle
import signal
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe, connection
from multiprocessing.process import BaseProcess

import optuna

from cvfp_opt.errors import StorageError
from cvfp_opt.store.database.file_watch import FileGone
from cvfp_opt.store.database.retry import DATABASE_ERRORS
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.record.records import count_finished
from cvfp_opt.tuning.observer import SearchObserver
from cvfp_opt.tuning.stopping import Stop
from cvfp_opt.workers.forking import can_fork, start_worker
from cvfp_opt.workers.listener import Listener
from cvfp_opt.workers.messages import Message, Refused
from cvfp_opt.workers.process import work
from cvfp_opt.workers.task import Task


@dataclass(eq=False)
class _Worker:
    """A process and its line to us."""

    process: BaseProcess
    connection: "connection.Connection"


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
        self._listener = Listener(task, study, observer)
        self._refusal: StorageError | None = None
        # Plain pickle: multiprocessing's own would move tensors to shared memory, of which a
        # container may have too little for a table of embeddings.
        self._payload = pickle.dumps(task)

    def stop(self) -> None:
        """Let every worker give its trial back. May be called from a signal handler."""
        self._stopping = True
        for worker in self._workers:
            worker.process.terminate()

    def run(self, stop: Stop) -> None:
        """Start the workers and listen until all have ended.

        Whatever ends this, no process is left, and no trial of one is left running.

        Args:
            stop: whoever learns first that the user wants to stop must call ``self.stop``.

        Raises:
            SearchStopped: the running trials were given back.
            CvfpOptError: a worker met it; the others were ended.
            SearchError: workers died too often, and trials are left undone.
            WorkerError: a worker met a bug.
        """
        self._listener.stop = stop
        stop.check()  # it may have come before there was anybody to call
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
            self._task.release_dead(self._store, self._study)
        self._check_refusal()
        self._listener.check_undone()

    def _check_refusal(self) -> None:
        """Raise what the database refused to a worker, if trials are left undone."""
        if self._refusal is None:
            return
        try:
            finished = count_finished(self._study)
        except FileGone:  # what became of the file: one who opened it just then knows less
            raise
        except (*DATABASE_ERRORS, KeyError):  # the worker has waited for it already; or no study
            raise self._refusal from None
        if finished < self._task.total:
            raise self._refusal

    def _start(self, count: int) -> None:
        fork = can_fork(self._task.environment["device"])
        started = []
        for _ in range(count):
            if self._stopping:
                break
            ours, theirs = Pipe()
            process = start_worker(work, theirs, fork=fork, given_up=lambda: self._stopping)
            theirs.close()  # or its end would never be seen
            if process is None:
                ours.close()  # it will see that nobody is there
                break
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
        if isinstance(message, Refused) and isinstance(message.error, StorageError):
            self._refused(worker, message.error)
            return
        try:
            self._listener.handle(worker, message)
        except FileGone as error:  # the workers learn it by themselves, and keep what they have
            self._refusal = self._refusal or error

    def _refused(self, worker: _Worker, error: StorageError) -> None:
        """Go on with the others: what they have done they can write, or keep, themselves."""
        self._refusal = self._refusal or error
        if len(self._workers) > 1:
            self._observer.notice(f"worker process {worker.process.pid} gives up: {error}")

    def _ended(self, worker: _Worker) -> None:
        worker.process.join()  # also makes it known as dead: a zombie would still have its pid
        worker.connection.close()
        self._workers.remove(worker)
        status = worker.process.exitcode
        trial = self._listener.forget(worker)
        if status == 0 or self._stopping:
            return
        self._listener.deaths.count += 1
        self._observer.notice(f"worker process {worker.process.pid}{trial} {how_it_ended(status)}")
        if not self._listener.deaths.too_many and self._listener.count_unfinished() > 0:
            self._start(1)


def how_it_ended(status: int | None) -> str:
    """Say how a process ended, by its exit code."""
    if status is not None and status < 0:
        return f"was killed by {signal.Signals(-status).name} (exit status {status})"
    return f"ended with exit status {status}"
