"""A server for the dashboard: waitress, which is small, needs nothing else, and is strict.

It gives each request one of a few threads, takes whole requests only, and refuses bodies over a
limit before it has read them. (cheroot needs four packages more; wsgiref serves one request after
the other, and says of itself that it is for no such use.)
"""

import errno
import ipaddress
import logging
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cvfp_opt.errors import ServerError
from cvfp_opt.report.dashboard.connections import WatchfulServer

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

# Bytes of a request's body: the largest thing sent is an artifact, a picture as a rule.
MAX_BODY = 16 << 20
# Bytes of headers, with the cookies of whatever else runs on the host; servers take 8 to 32 kB.
MAX_HEADERS = 32 << 10
# Threads that answer: more would only wait for the database.
THREADS = 4
_LAST_PORT = 65535


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where to listen.

    Attributes:
        host: as the user typed it.
        port: 0 for any that is free.
    """

    host: str
    port: int

    def resolve(self) -> tuple[socket.AddressFamily, tuple[str, int]]:
        """Family and socket address. Raises ServerError for a host that is none."""
        try:
            found = socket.getaddrinfo(
                self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
        except (OSError, UnicodeError):
            raise ServerError(
                f"--host {self.host}: a name or address of this machine is required"
            ) from None
        family, _, _, _, where = found[0]
        return family, (str(where[0]), self.port)

    @property
    def is_local(self) -> bool:
        """True if this machine alone reaches it."""
        return ipaddress.ip_address(self.resolve()[1][0].partition("%")[0]).is_loopback

    def bind(self) -> socket.socket:
        """Bind a socket there.

        Raises:
            ServerError: the port is in use, or not for us; or the address is another machine's.
        """
        family, where = self.resolve()
        bound = socket.socket(family, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(where)
            # so that a port that is taken is refused now: with that option set, both may bind
            bound.listen()
        except OSError as error:
            bound.close()
            raise ServerError(self._refusal(error)) from None
        return bound

    def _refusal(self, error: OSError) -> str:
        other = f"name another port, for instance --port {min(self.port + 1, _LAST_PORT)}"
        if error.errno == errno.EADDRINUSE:
            return f"--port {self.port}: another program listens there ({self.host}); {other}"
        if error.errno == errno.EACCES:
            return f"--port {self.port}: only the superuser may listen there; name one over 1023"
        if error.errno == errno.EADDRNOTAVAIL:
            return f"--host {self.host}: an address of this machine is required"
        return f"--host {self.host} --port {self.port}: {error.strerror}; {other}"


class Server:
    """A bound server.

    Args:
        app: what answers.
        address: where.

    Attributes:
        port: that it listens at.

    Raises:
        ServerError: see ``Address.bind``.
    """

    def __init__(self, app: "WSGIApplication", address: Address) -> None:
        logging.getLogger("waitress").setLevel(logging.ERROR)  # a full queue is no news
        bound = address.bind()
        self.port: int = bound.getsockname()[1]
        self._server = WatchfulServer(
            app,
            bound,
            {},
            threads=THREADS,
            ident=None,
            max_request_body_size=MAX_BODY,
            max_request_header_size=MAX_HEADERS,
        )

    def run(self) -> None:
        """Serve until ``stop``, or until KeyboardInterrupt comes in this thread."""
        self._server.run()
        self._server.task_dispatcher.shutdown()
        self._server.close_all()

    def stop(self) -> None:
        """End ``run``, from another thread."""
        with suppress(OSError):  # where another pull has had it done already
            self._server.trigger.pull_trigger(self._server.close_all)


def printed_host(host: str) -> str:
    """Write a host as a browser of this or another machine can be sent to it."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return socket.gethostname()
    return f"[{host}]" if address.version == 6 else host
