"""A small stand-in for the Hugging Face hub: what its client asks in order to download files."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass
class Repository:
    """A repository with one commit.

    Attributes:
        files: contents by name.
        refuse: status and error code with which files (not the listing) are refused.
        only: the one file that is refused; "" for all.
        sizes: of files, where they are not the true ones.
    """

    files: dict[str, bytes]
    refuse: tuple[int, str] | None = None
    only: str = ""
    sizes: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path) -> "Repository":
        """Take what ``upload_folder`` would have uploaded."""
        return cls({path.name: path.read_bytes() for path in folder.iterdir()})

    @property
    def commit(self) -> str:
        names = json.dumps({name: _digest(content) for name, content in self.files.items()})
        return hashlib.sha1(names.encode()).hexdigest()


@dataclass
class Hub:
    """What the server has and what it was asked.

    Attributes:
        repositories: by name.
        asked: method and path of each request.
        address: of the server.
        status: with which everything is refused; 0 for nothing.
    """

    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    address: str = ""
    status: int = 0

    @property
    def downloaded(self) -> list[str]:
        """Names of the files whose contents were sent."""
        got = (path for method, path in self.asked if method == "GET" and "/resolve/" in path)
        return [path.rpartition("/")[2] for path in got]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append((self.command, path))
        if self.hub.status:
            return self._send(self.hub.status)
        if path.startswith("/api/models/"):
            name, _, revision = path.removeprefix("/api/models/").partition("/revision/")
            return self._list(name, revision)
        name, _, rest = path.removeprefix("/").partition("/resolve/")
        revision, _, file = rest.partition("/")
        return self._give(name, revision, file)

    def _found(self, name: str, revision: str) -> Repository | None:
        found = self.hub.repositories.get(name)
        if found is None:
            self._send(404, {"X-Error-Code": "RepoNotFound"})
        elif revision not in ("", "main", found.commit):
            self._send(404, {"X-Error-Code": "RevisionNotFound"})
            found = None
        return found

    def _list(self, name: str, revision: str) -> None:
        if found := self._found(name, revision):
            siblings = [
                {"rfilename": file, "size": found.sizes.get(file, len(content))}
                for file, content in found.files.items()
            ]
            answer: dict[str, Any] = {"id": name, "sha": found.commit, "siblings": siblings}
            self._send(200, {"Content-Type": "application/json"}, json.dumps(answer).encode())

    def _give(self, name: str, revision: str, file: str) -> None:
        found = self._found(name, revision)
        if found is None:
            return
        if found.refuse and found.only in ("", file):
            status, code = found.refuse
            self._send(status, {"X-Error-Code": code} if code else {})
        elif file not in found.files:
            self._send(404, {"X-Error-Code": "EntryNotFound"})
        else:
            content = found.files[file]
            headers = {"ETag": f'"{_digest(content)}"', "X-Repo-Commit": found.commit}
            self._send(200, headers, content)

    def _send(
        self, status: int, headers: dict[str, str] | None = None, content: bytes = b""
    ) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *words: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[Hub]:
    """Serve an empty hub on a free port, until the ``with`` block ends."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    hub.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
