"""A server that is told events, answers as a test says, and checks signatures."""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SECRET = "a secret of the test"


@dataclass
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> Any:
        return json.loads(self.body)

    def is_genuine(self, secret: str = SECRET, oldest: float = 300.0) -> bool:
        """As docs/notify.md shows it."""
        stamp, _, given = self.headers["x-cvfp-signature"].partition(",")
        stamp = stamp.removeprefix("t=")
        signed = hmac.new(secret.encode(), f"{stamp}.".encode() + self.body, hashlib.sha256)
        return (
            hmac.compare_digest(given, f"v1={signed.hexdigest()}")
            and abs(time.time() - int(stamp)) < oldest
        )


@dataclass
class Receiver:
    """A server; ``answers`` are the codes of the first requests, 204 of all others.

    A negative code drips: a byte now and then, and never an answer, until ``go_on`` is set.
    """

    url: str = ""
    answers: list[int] = field(default_factory=list)
    requests: list[Received] = field(default_factory=list)
    came: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    go_on: threading.Event = field(default_factory=threading.Event)

    @property
    def events(self) -> list[Any]:
        return [one.event for one in self.requests]

    @property
    def told(self) -> list[str]:
        return [one["kind"] for one in self.events]

    def wait(self, count: int = 1) -> None:
        """Wait until so many further requests have come."""
        for _ in range(count):
            assert self.came.acquire(timeout=20)


@contextmanager
def receiving(*answers: int) -> Iterator[Receiver]:
    """Serve while the block runs."""
    receiver = Receiver(answers=list(answers))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.requests.append(Received(self.path, headers, body))
            code = receiver.answers.pop(0) if receiver.answers else 204
            receiver.came.release()
            if code < 0:
                self._drip()
                return
            self.send_response(code)
            if 300 <= code < 400:
                self.send_header("Location", f"{receiver.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _drip(self) -> None:
            try:
                for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 4000:
                    self.wfile.write(bytes([byte]))
                    if receiver.go_on.wait(0.05):
                        return
            except OSError:
                pass  # whoever waited has left

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.go_on.set()
        server.shutdown()
        thread.join()
        server.server_close()


def name_hooks(text: str, path: Path = Path("notify.toml")) -> Path:
    """Write a file that names hooks."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


def webhook(url: str, name: str = "ops", more: str = "") -> str:
    return f'[hooks.{name}]\nkind = "webhook"\nurl = "{url}"\nsecret = "{SECRET}"\n{more}\n'


def command(code: str, name: str = "desk", more: str = "") -> str:
    """A hook that runs a Python program; it may not hold a single quote."""
    import sys

    return (
        f"[hooks.{name}]\nkind = \"command\"\ncommand = ['{sys.executable}', '-c', '{code}']\n"
        f"{more}\n"
    )
