"""Outages of a real PostgreSQL: connections that end, and a door that is shut at first."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
import sqlalchemy
from databases import SERVERS


@contextmanager
def administrator() -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    """A connection to the server that none of the tests' databases is in the way of."""
    url = sqlalchemy.make_url(SERVERS["postgresql"]).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        yield connection


class Killer:
    """Ends the connection that is about to execute one of all statements of this process.

    Attributes:
        at: which one, from 0; None for none.
        count: statements so far.
    """

    def __init__(self) -> None:
        self.at: int | None = None
        self.count = 0
        self._lock = threading.Lock()

    def __call__(self, connection: sqlalchemy.Connection, *more: object) -> None:
        with self._lock:
            now, self.count = self.count, self.count + 1
        if now == self.at:
            dead = connection.connection.dbapi_connection
            assert isinstance(dead, psycopg.Connection)
            with administrator() as other:  # returns when it is gone
                other.execute("SELECT pg_terminate_backend(%s, 10000)", [dead.info.backend_pid])


class Door:
    """A port that leads to a server once it is opened; until then nobody listens there."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._door = socket.socket()
        self._door.bind(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]

    def open(self) -> None:
        """Let everybody in from here on."""
        self._door.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Let nobody in any more."""
        with suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)  # wakes who waits in it
        self._door.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                inside, _ = self._door.accept()
                threading.Thread(target=self._pass, args=(inside,), daemon=True).start()

    def _pass(self, inside: socket.socket) -> None:
        with inside, socket.create_connection(self._to) as outside:
            back = threading.Thread(target=_carry, args=(outside, inside), daemon=True)
            back.start()
            _carry(inside, outside)
            back.join()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
