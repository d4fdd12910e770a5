"""Stopping a search by ^C or SIGTERM, at a place where nothing is half done."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class SearchStopped(BaseException):
    """The user, or the system, asked the search to stop.

    No error but a BaseException, as KeyboardInterrupt is, so that nothing takes it for a failed
    trial.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.exit_code = 128 + signum


class Stop(Protocol):
    """The wish to stop."""

    def check(self) -> None:
        """Raise SearchStopped if there is one. Called from the thread of any trial."""


def pause(stop: Stop, seconds: float) -> None:
    """Wait, at most until the search is to stop. Raises SearchStopped."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        stop.check()
        time.sleep(min(left, 0.1))


# A scheduler may send SIGTERM to a process and to its group: so soon after it is the same one.
_ECHO_SECONDS = 2.0


class StopRequest:
    """While entered, a first signal is remembered, and a second one stops at once.

    SIGTERM that comes twice within two seconds is one: nobody types so quickly.

    Python hands signals to its main thread alone: in another one there is none to wait for.

    Args:
        notify: called once, when the first signal comes.
    """

    def __init__(self, notify: Callable[[], None]) -> None:
        self._notify = notify
        self._signum: int | None = None
        self._came = 0.0
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._previous = {one: signal.signal(one, self._receive) for one in SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)

    def check(self) -> None:
        """Raise SearchStopped if a signal came."""
        if self._signum is not None:
            raise SearchStopped(self._signum)

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._signum is not None:
            if self._signum == signum == signal.SIGTERM and now - self._came < _ECHO_SECONDS:
                return
            raise SearchStopped(signum)
        self._signum, self._came = signum, now
        self._notify()


class StopSwitch:
    """A Stop that whoever started a search in another thread asks for."""

    def __init__(self) -> None:
        self._wanted = threading.Event()
        self._notify: Callable[[], None] = lambda: None

    def stop(self) -> None:
        """Ask for it."""
        self._wanted.set()
        self._notify()

    def check(self) -> None:
        """Raise SearchStopped if somebody asked for it."""
        if self._wanted.is_set():
            raise SearchStopped(signal.SIGINT)

    @contextmanager
    def notifying(self, notify: Callable[[], None]) -> Iterator[Self]:
        """Call ``notify`` when it is asked for, as long as this is entered."""
        self._notify = notify
        if self._wanted.is_set():
            notify()
        try:
            yield self
        finally:
            self._notify = lambda: None
