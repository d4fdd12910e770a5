"""Several staying workers on this machine: started, and replaced when they die."""

import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe, connection
from multiprocessing.process import BaseProcess

from cvfp_opt.errors import SearchError
from cvfp_opt.training.device import resolve_device, set_threads
from cvfp_opt.tuning.stopping import SearchStopped, Stop, StopRequest
from cvfp_opt.workers.forking import can_fork, start_worker
from cvfp_opt.workers.health import Pulse
from cvfp_opt.workers.local import how_it_ended
from cvfp_opt.workers.messages import Refused, failure
from cvfp_opt.workers.process import ignore_further_sigterm, stop_when_orphaned
from cvfp_opt.workers.staying import Staying, StayingObserver
from cvfp_opt.workers.terms import Terms

Notify = Callable[[str], None]
MakeObserver = Callable[[str, Notify | None], StayingObserver]
"""Makes what shows a worker, given its name, and what is told once for all; can be pickled."""

# A worker that dies so soon dies of what it begins with: after so many in a row, none would live.
_LEAST_SECONDS = 10.0
_MOST_DEATHS = 5


@dataclass(frozen=True)
class _Note:
    """A worker's message: what to know of a study, which all that serve it would say."""

    text: str


def stay(
    terms: Terms,
    make: MakeObserver,
    stop: Stop,
    pulse: Pulse,
    name: str = "",
    note: Notify | None = None,
) -> None:
    """Stay as one worker, in this process; see ``Staying.run``."""
    set_threads(terms.threads)
    Staying(terms, make(name, note), stop, pulse).run()


class Fleet:
    """Processes that each stay as a worker.

    Args:
        terms: of each.
        count: how many.
        make: makes what shows each.
        notify: shows a line of what becomes of them.
        pulse: beats while they are looked after.
    """

    def __init__(
        self,
        terms: Terms,
        count: int,
        make: MakeObserver,
        notify: Notify,
        pulse: Pulse,
    ) -> None:
        self._terms, self._count, self._make = terms, count, make
        self._notify, self._pulse = notify, pulse
        self._workers: dict[connection.Connection, tuple[BaseProcess, float, str]] = {}
        self._stopping = False
        self._refusal: Exception | None = None
        self._deaths = 0
        self._noted: set[str] = set()

    def stop(self) -> None:
        """Let every worker give its trial back. May be called from a signal handler."""
        self._stopping = True
        for process, _, _ in list(self._workers.values()):
            process.terminate()

    def run(self, stop: Stop) -> None:
        """Start the workers and look after them until all have ended.

        Raises:
            SearchStopped: the running trials were given back.
            CvfpOptError: what the last of them met.
            SearchError: they died too often.
        """
        try:
            for number in range(1, self._count + 1):
                self._start(f"worker {number}")
            while self._workers:
                self._pulse.beat()
                for ready in connection.wait(list(self._workers), timeout=1.0):
                    assert isinstance(ready, connection.Connection)
                    self._listen(ready)
            stop.check()
        finally:
            for process, _, _ in self._workers.values():
                process.kill()
                process.join()
        if self._refusal is not None:
            raise self._refusal

    def _start(self, name: str) -> None:
        if self._stopping:
            return
        ours, theirs = Pipe()
        fork = can_fork(resolve_device(self._terms.device).type)
        arguments = theirs, self._terms, self._make, name
        process = start_worker(
            _stay_in_process, *arguments, fork=fork, given_up=lambda: self._stopping
        )
        theirs.close()
        if process is None:
            ours.close()
            return
        self._workers[ours] = process, time.monotonic(), name
        if self._stopping:
            process.terminate()  # it may have missed the one being started

    def _note_once(self, text: str) -> None:
        if text not in self._noted:
            self._noted.add(text)
            self._notify(text)

    def _listen(self, line: connection.Connection) -> None:
        process, began, name = self._workers[line]
        with suppress(EOFError, OSError):
            message = line.recv()
            if isinstance(message, _Note):
                self._note_once(message.text)
                return
            if isinstance(message, Refused):
                self._refusal = message.error
                self._notify(f"{name} gives up: {message.error}")
            else:
                self._notify(f"{name} failed: {message.error}\n{message.trace}")
        process.join()
        line.close()
        del self._workers[line]
        if process.exitcode == 0 or self._stopping or self._refusal is not None:
            return
        lived = time.monotonic() - began
        self._deaths = self._deaths + 1 if lived < _LEAST_SECONDS else 1
        self._notify(f"{name} {how_it_ended(process.exitcode)}; what it ran is taken over")
        if self._deaths > _MOST_DEATHS:
            self._refusal = SearchError(
                f"{self._deaths} workers died one after another; find out why (too little "
                "memory?), then start them again, perhaps with a smaller --n-jobs"
            )
            self.stop()
            return
        self._start(name)


def _stay_in_process(
    to_parent: connection.Connection, terms: Terms, make: MakeObserver, name: str
) -> None:
    """Stay as one of several workers. Ends with status 0 unless something failed."""

    def note(text: str) -> None:
        with suppress(OSError):  # nobody listens any more: this worker is about to be stopped
            to_parent.send(_Note(text))

    try:
        with StopRequest(ignore_further_sigterm) as stop:
            # the server blocks it: one that came before waits until now
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            stop_when_orphaned()
            try:
                stay(terms, make, stop, Pulse(float("inf")), name, note)
            except Exception as error:
                with suppress(OSError):
                    to_parent.send(failure(error))
                raise SystemExit(1) from None
    except SearchStopped as stopped:
        raise SystemExit(stopped.exit_code) from None
