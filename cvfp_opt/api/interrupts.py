"""What ^C and SIGTERM become in Python, once nothing is half done."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from cvfp_opt.tuning.stopping import SearchStopped


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt for what ^C has stopped, and SystemExit for SIGTERM."""
    try:
        yield
    except SearchStopped as stopped:
        raise_stop(stopped)


def raise_stop(stopped: SearchStopped, text: str = "") -> None:
    """Raise what a Python program expects of the signal that stopped a search.

    Args:
        stopped: by which signal.
        text: what was kept, and how to go on.
    """
    if stopped.exit_code == 128 + signal.SIGINT:
        raise KeyboardInterrupt(text) from None
    raise SystemExit(stopped.exit_code) from None
