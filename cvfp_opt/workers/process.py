"""A worker process, from the inside."""

import os
import pickle
import signal
import threading
from multiprocessing import connection, parent_process

from cvfp_opt.training.device import set_threads
from cvfp_opt.tuning.stopping import SearchStopped, StopRequest
from cvfp_opt.workers.messages import Sender, failure
from cvfp_opt.workers.task import Task


def work(to_parent: connection.Connection) -> None:
    """Receive a Task and search. Ends with status 0 only if no further trial is to be run.

    SIGTERM gives the running trial back. ^C reaches the whole process group, but the parent
    alone heeds it: it blocked SIGINT for its workers from their birth.
    """
    sender = Sender(to_parent.send)
    try:
        with StopRequest(ignore_further_sigterm) as stop:
            # the server blocks it: one that came before waits until now
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            stop_when_orphaned()
            try:
                _search(to_parent, sender, stop)
            except Exception as error:
                sender.send(failure(error))
    except SearchStopped as stopped:
        raise SystemExit(stopped.exit_code) from None


def _search(to_parent: connection.Connection, sender: Sender, stop: StopRequest) -> None:
    try:
        task: Task = pickle.loads(to_parent.recv_bytes())
    except (EOFError, ConnectionError):  # the parent is gone already
        raise SearchStopped(signal.SIGTERM) from None
    stop.check()
    set_threads(task.environment["threads"])
    task.join(sender, stop)


def ignore_further_sigterm() -> None:
    """Let the giving back come to its end."""
    # One stop can come as two signals, one to the process group and one from the parent; a
    # second one must not break off the giving back. To stop at once, the parent kills.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def stop_when_orphaned() -> None:
    """Stop as by SIGTERM when the parent is gone, even if it was killed."""
    parent = parent_process()
    assert parent is not None, "runs in a child process"

    def watch() -> None:
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
