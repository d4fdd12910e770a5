"""Stopping a search by ^C or SIGTERM, at a place where nothing is half done."""

import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Protocol, Self

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


class StopRequest:
    """While entered, a first signal is remembered, and a second one stops at once.

    Args:
        notify: called once, when the first signal comes.
    """

    def __init__(self, notify: Callable[[], None]) -> None:
        self._notify = notify
        self._signum: int | None = None

    def __enter__(self) -> Self:
        self._previous = {signum: signal.signal(signum, self._receive) for signum in SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)

    def check(self) -> None:
        """Raise SearchStopped if a signal came."""
        if self._signum is not None:
            raise SearchStopped(self._signum)

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        if self._signum is not None:
            raise SearchStopped(signum)
        self._signum = signum
        self._notify()
