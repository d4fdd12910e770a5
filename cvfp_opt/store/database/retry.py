"""Patience with a database that does not answer: a server restarts, a lock is kept for long."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import isinf
from typing import TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    OperationalError,
    PendingRollbackError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from cvfp_opt.errors import StorageError
from cvfp_opt.redaction import redacted
from cvfp_opt.store.database.error_codes import refusal_passes
from cvfp_opt.store.database.file_watch import FileGone

T = TypeVar("T")

PATIENCE_SECONDS = 600.0
LOOKING_SECONDS = 5.0

DATABASE_ERRORS = (SQLAlchemyError, StorageInternalError, FileGone)
"""The errors of a database itself, and of a file that is not there any more."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 15.0
# Shorter outages are not reported.
_NOTIFY_AFTER = 2.0

# Without a code for a refusal, at least the words of an English server are understood.
_SERVER_STAYS = ("does not exist", "Unknown database", "authentication failed", "Access denied")


def passes(error: BaseException) -> bool:
    """Check if what failed may succeed later, all else the same."""
    error = _cause(error)
    # the second is Optuna's, who asks on after the connection broke
    if isinstance(error, PoolTimeout | PendingRollbackError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    decided = refusal_passes(error.orig) if error.orig is not None else None
    if decided is not None:
        return decided
    if any(word in str(error.orig) for word in _SERVER_STAYS):
        return False
    return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)


def driver_words(error: BaseException) -> str:
    """Give the driver's message in one line."""
    cause = _cause(error)
    return " ".join(str(getattr(cause, "orig", None) or cause).split())


def _cause(error: BaseException) -> BaseException:
    """Unwrap the database's own error from Optuna's and ours."""
    while isinstance(error, StorageInternalError | StorageError) and error.__cause__ is not None:
        error = error.__cause__
    return error


@dataclass(frozen=True, kw_only=True)
class Patience:
    """A way to repeat what failed, at growing intervals, for so many seconds.

    Attributes:
        seconds: then the last error is raised.
        notify: called with a line when it begins to wait, and when the database is back.
        pause: waits for so many seconds; may raise to stop.
    """

    seconds: float = PATIENCE_SECONDS
    notify: Callable[[str], None] = lambda text: None
    pause: Callable[[float], None] = time.sleep

    def __call__(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns; it must be safe to repeat: an answer may have been lost.

        Raises:
            What ``work`` raised, if it does not pass, or not in time.
        """
        started, pause, notified = time.monotonic(), _FIRST_PAUSE, False
        while True:
            try:
                found = work()
            except Exception as error:
                waited = time.monotonic() - started
                if not passes(error) or waited > self.seconds:
                    raise
                if not notified and waited > min(_NOTIFY_AFTER, self.seconds / 2):
                    notified = True
                    limit = "" if isinf(self.seconds) else f" for up to {self.seconds:.0f} s"
                    self.notify(f"{in_words(error)}; waiting{limit}")
                # not all workers at once when it is back
                self.pause(pause * random.uniform(0.5, 1.0))
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                if notified:
                    self.notify(f"the database is back after {time.monotonic() - started:.0f} s")
                return found


def in_words(error: Exception) -> str:
    """Write a line that, and why, the database does not answer."""
    return f"the database does not answer ({redacted(driver_words(error))})"


AT_ONCE = Patience(seconds=0)
"""No patience: for a part of what is repeated as a whole."""

LOOKING = Patience(seconds=LOOKING_SECONDS)
"""Short patience: for commands that look or edit, where somebody waits for the answer."""
