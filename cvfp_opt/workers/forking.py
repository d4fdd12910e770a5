"""Start worker processes: forked from a server that has imported all they need, or spawned."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver, reduction
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any

import numpy

from cvfp_opt.errors import SearchError
from cvfp_opt.workers.shares import Workers
from cvfp_opt.workers.signals import signals_blocked

PRELOAD = "cvfp_opt.workers.preload"
POLL_SECONDS = 0.1


def can_fork(device: str) -> bool:
    """Check if workers that compute on a device can be forked; if not, they are spawned.

    Threads of macOS's own libraries do not survive a fork, nor does a GPU's driver.
    """
    return sys.platform == "linux" and device == "cpu"


def start_server() -> None:
    """Let another process import what workers need, unless one does already. Does not wait.

    SIGINT and SIGTERM, which may be sent to all processes of a command, do not end it; it ends
    when this process and all workers have ended.
    """
    forkserver.set_forkserver_preload([PRELOAD])
    # it finds modules where this process does, and not in the current folder first of all
    path = {"PYTHONPATH": os.pathsep.join(map(str, sys.path)), "PYTHONSAFEPATH": "1"}
    with signals_blocked(signal.SIGINT, signal.SIGTERM), _variables(path):
        forkserver.ensure_running()


def start_server_for(options: Workers) -> None:
    """Start the server as soon as it is known that workers will be forked."""
    several = options.engine == "processes" and (options.n_jobs or 1) > 1
    if several and can_fork(options.resolve_device().type):
        start_server()


def start_worker(
    work: Callable[..., None], *args: Any, fork: bool, given_up: Callable[[], bool]
) -> BaseProcess | None:
    """Start a process that runs ``work(*args)`` with SIGINT blocked, and if forked SIGTERM.

    Args:
        work: a function that can be imported.
        fork: see ``can_fork``.
        given_up: whether to wait no longer for the server's imports, which may take seconds; a
            signal handler may change it.

    Returns:
        The process; None if it was given up. It may start all the same, but nobody listens to it.

    Raises:
        SearchError: the server died.
    """
    process: BaseProcess
    if fork:
        start_server()
        forked = multiprocessing.get_context("forkserver")
        process = forked.Process(target=_run_forked, args=(_Parent(), work, *args), daemon=True)
    else:
        process = multiprocessing.get_context("spawn").Process(target=work, args=args, daemon=True)
    failures: list[Exception] = []

    def start() -> None:
        try:
            with _main_hidden():
                process.start()
        except Exception as error:
            failures.append(error)

    # multiprocessing waits for the server and could not be called off
    thread = Thread(target=start, daemon=True)
    with signals_blocked(signal.SIGINT):  # a spawned process inherits it from the thread
        thread.start()
    while thread.is_alive() and not given_up():
        thread.join(POLL_SECONDS)
    for failure in failures:
        if isinstance(failure, EOFError | ConnectionError):
            raise SearchError(
                "no worker process could be started: the process that forks them died (too "
                "little memory?); type the same command again, perhaps with a smaller --n-jobs"
            ) from None
        raise failure
    return None if thread.is_alive() else process


@contextmanager
def _main_hidden() -> Iterator[None]:
    """Keep a new process from running the user's script, which it has no need of.

    A script that starts a search without ``if __name__ == "__main__"`` would do so in each worker.
    """
    main = vars(sys.modules["__main__"])
    known: dict[str, Any] = {n: main.pop(n) for n in ("__spec__", "__file__") if n in main}
    main["__spec__"] = None
    try:
        yield
    finally:
        main.update(known)


class _Parent:
    """State of the parent that a forked process would otherwise have from the server.

    It is looked up when a process is being started. The current folder and ``sys.path`` are
    handed over by multiprocessing itself.

    Attributes:
        environment: all variables.
        streams: standard output and error, as far as they are open.
    """

    environment: dict[str, str]
    streams: dict[int, Any]

    def __getstate__(self) -> dict[str, Any]:
        streams = {number: reduction.DupFd(number) for number in (1, 2) if _is_open(number)}
        return {"environment": dict(os.environ), "streams": streams}

    def imitate(self) -> None:
        """Make this process like it."""
        os.environ.clear()
        os.environ.update(self.environment)
        for number, copy in self.streams.items():
            received = copy.detach()
            os.dup2(received, number)
            os.close(received)


def _run_forked(parent: _Parent, work: Callable[..., None], *args: Any) -> None:
    parent.imitate()
    numpy.random.seed()  # or all workers would draw the same numbers, those of the server
    work(*args)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


@contextmanager
def _variables(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables for a moment."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
