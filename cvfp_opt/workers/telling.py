"""A thread that tells that a worker is alive, and learns what is wanted of it."""

import threading
import time
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from cvfp_opt.store.database.file_watch import FileGone
from cvfp_opt.store.database.retry import DATABASE_ERRORS
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.queue.workers import (
    BEAT_SECONDS,
    StayingWorker,
    Wanted,
    WorkerState,
    join,
    leave,
    tell,
)
from cvfp_opt.workers.health import Pulse


class Telling:
    """Tells every few seconds, and at once what changes; a context manager.

    A database that does not answer is told later: as long as it is away, nobody looks either.

    Args:
        store: where the worker is entered.
        worker: as it begins.
        pulse: beats as often as the database is told, or does not answer.
    """

    def __init__(self, store: Store, worker: StayingWorker, pulse: Pulse) -> None:
        self._store = store
        self._worker = worker
        self._pulse = pulse
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._ended = False
        self._end: float | None = None
        self._wanted = Wanted.WORK
        self._thread = threading.Thread(target=self._work, name="telling", daemon=True)

    def __enter__(self) -> Self:
        self._store.patiently(lambda: join(self._store, self._worker))
        self._pulse.beat()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended = True
        self._news.set()
        self._thread.join()
        with suppress(FileGone, *DATABASE_ERRORS):
            leave(self._store, self._worker)

    @property
    def drains(self) -> bool:
        """Check whether no further trial is to be taken."""
        return self._wanted is not Wanted.WORK

    @property
    def is_over(self) -> bool:
        """Check whether running trials are to be given back."""
        if self._wanted is Wanted.STOP:
            return True
        return self._end is not None and time.monotonic() >= self._end

    def change(self, **changes: Any) -> None:
        """Tell something else of the worker from here on, by the names of StayingWorker."""
        with self._lock:
            worker = replace(self._worker, **changes)
            if worker == self._worker:
                return
            self._worker = worker
        self._news.set()

    def _work(self) -> None:
        while not self._ended:
            with self._lock:
                worker = self._worker
            if self.drains:
                stopping = self._wanted is Wanted.STOP
                state = WorkerState.STOPPING if stopping else WorkerState.DRAINING
                worker = replace(worker, state=state)
            with suppress(FileGone, *DATABASE_ERRORS):  # who uses the file is told that it is gone
                order = tell(self._store, worker)
                self._wanted = order.wanted
                left = order.seconds
                self._end = None if left is None else time.monotonic() + left
            self._pulse.beat()  # without the database, too: nobody should end it for that
            self._news.wait(BEAT_SECONDS)
            self._news.clear()
