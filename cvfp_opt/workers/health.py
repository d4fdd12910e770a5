"""A worker's answer to whoever asks whether it lives: an orchestrator's probe, say."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cvfp_opt.errors import ServerError


@contextmanager
def answering(port: int | None, alive: Callable[[], bool]) -> Iterator[int | None]:
    """Answer ``GET /livez`` on all addresses of this machine meanwhile; give the port.

    Args:
        port: 0 for any that is free; None for no answer.
        alive: whether the worker is.

    Raises:
        ServerError: the port is taken.
    """
    if port is None:
        yield None
        return

    class Handler(BaseHTTPRequestHandler):
        timeout = 5.0

        def do_GET(self) -> None:
            if self.path != "/livez":
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            ok = alive()
            self.send_response(HTTPStatus.OK if ok else HTTPStatus.SERVICE_UNAVAILABLE)
            self.end_headers()
            self.wfile.write(b"ok\n" if ok else b"silent\n")

        def log_message(self, format: str, *args: object) -> None:
            pass  # a probe comes every few seconds

    try:
        server = ThreadingHTTPServer(("", port), Handler)
    except OSError as error:
        raise ServerError(f"--health {port}: {error.strerror}; name another port") from None
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="health", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Pulse:
    """Remembers when a worker last did something.

    Args:
        seconds: for how long it may do nothing.
        begun: called at the first beat.
    """

    def __init__(self, seconds: float, begun: Callable[[], None] = lambda: None) -> None:
        self._seconds = seconds
        self._begun = begun
        self._beats = False
        self._last = time.monotonic()

    def beat(self) -> None:
        """Note that it does."""
        self._last = time.monotonic()
        if not self._beats:
            self._beats = True
            self._begun()

    def alive(self) -> bool:
        """Check whether that was a short while ago."""
        return time.monotonic() - self._last < self._seconds
