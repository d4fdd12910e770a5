"""A PostgreSQL server of a test's own, to be stopped and started."""

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from cvfp_opt.store.database.location import Location, resolve_location


def _binaries() -> Path | None:
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    found = versions[-1] if versions else shutil.which("pg_ctl")
    return Path(found).resolve().parent if found else None


class Server:
    """A cluster in a folder, on a free port of the loopback."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self._data = folder / "data"
        self._binaries = binaries
        # the server refuses to run as the superuser
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            os.chown(folder, pwd.getpwnam(self._user).pw_uid, -1)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._call("initdb", "-D", self._data, "-A", "trust", "-U", "me", "--no-sync")

    @property
    def location(self) -> Location:
        return resolve_location(f"postgresql://me@127.0.0.1:{self._port}/postgres")

    def start(self) -> None:
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        self._call("pg_ctl", "-D", self._data, "-w", "-o", options, "-l", "log", "start")

    def stop(self) -> None:
        """As a machine that is switched off: no connection is ended in order."""
        self._call("pg_ctl", "-D", self._data, "-w", "-m", "immediate", "stop")

    def _call(self, program: str, *words: object) -> None:
        with (self._data.parent / "calls").open("a") as log:  # a pipe would wait for the server
            done = subprocess.run(
                [str(self._binaries / program), *map(str, words)],
                cwd=self._data.parent,
                user=self._user,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        assert done.returncode == 0, (self._data.parent / "calls").read_text()


@contextmanager
def own_server() -> Iterator[Server]:
    """Running; ended in the end. Not in pytest's folders, which only their owner may enter."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server programs on this machine")
    with TemporaryDirectory(prefix="cvfp-postgres-") as folder:
        server = Server(Path(folder), binaries)
        server.start()
        try:
            yield server
        finally:
            with suppress(AssertionError):  # a test may have stopped it
                server.stop()
