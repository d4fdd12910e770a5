"""The connections of the server: none may hold it up by being slow, idle, large or many.

waitress limits the number of connections, beyond which nobody gets in, and the time of silence,
which a byte now and then prolongs. Here each connection must make progress, and where there are
too many, the one that makes least is closed.
"""

import ipaddress
import socket
import time
from collections import Counter
from contextlib import suppress
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.receiver import ChunkedReceiver
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask
from waitress.utilities import BadRequest

from cvfp_opt.report.dashboard.security_headers import own

# Connections at a time; a browser opens six.
CONNECTIONS = 100
# While a request or an answer is under way, BYTES must pass in SECONDS: a slow telephone does
# ten times as much.
SECONDS = 20
BYTES = 80_000
# How long a browser may keep a connection for its next request.
IDLE_SECONDS = 120
# Seconds between two checks of that.
_EVERY = 2
# Bytes of the line before a chunk of a body, and of the lines after the last.
_MAX_CHUNK_LINE = 4096
_SPARE = 20


class _Parser(HTTPRequestParser):
    """waitress's, without the places where it fails or takes any amount."""

    completed: bool

    def parse_header(self, header_plus: bytes) -> None:
        try:
            super().parse_header(header_plus)
        except ValueError:  # http://[ as an address, a length of 5000 digits
            raise ParsingError("Invalid address or length") from None

    def received(self, data: bytes) -> int:
        consumed: int = super().received(data)
        if not self.completed and isinstance(self.body_rcv, ChunkedReceiver):
            longest = max(len(self.body_rcv.control_line), len(self.body_rcv.trailer))
            if longest > _MAX_CHUNK_LINE:
                self.error = BadRequest("Chunk line or trailer too long")
                self.completed = True
        return consumed


class _Refusal(ErrorTask):
    """Answer what is no HTTP, with the headers that every answer has."""

    def execute(self) -> None:
        self.response_headers.extend(own([]))
        super().execute()


class _Connection(HTTPChannel):
    """A connection that is watched.

    Attributes:
        since: when it began to wait, or was last seen to get on (time.monotonic).
        moved: bytes in and out since then.
    """

    parser_class = _Parser
    error_task_class = _Refusal

    def __init__(self, *args: Any, **words: Any) -> None:
        self._begin()
        super().__init__(*args, **words)

    def _begin(self) -> None:
        self.since, self.moved = time.monotonic(), 0

    def recv(self, size: int) -> bytes:
        data: bytes = super().recv(size)
        self.moved += len(data)
        return data

    def send(self, data: bytes, do_close: bool = True) -> int:
        sent: int = super().send(data, do_close=do_close)
        self.moved += sent
        return sent

    def received(self, data: bytes) -> bool:
        before = self.request
        taken: bool = super().received(data)
        if self.request is not before:  # another one begins, or this one is whole
            self._begin()
        return taken

    def write_soon(self, data: Any) -> int:
        if not self.total_outbufs_len:
            self._begin()
        written: int = super().write_soon(data)
        return written

    def service(self) -> None:
        super().service()
        if not self.total_outbufs_len:
            self._begin()

    def drop(self) -> None:
        """Have the loop close it, which does so at its end: its number is another's right then."""
        self.will_close = True
        with suppress(OSError):  # gone already
            self.socket.shutdown(socket.SHUT_RDWR)

    @property
    def is_answered(self) -> bool:
        """Check whether it waits for us."""
        return bool(self.requests) and not self.total_outbufs_len

    def is_late(self) -> bool:
        """Check whether it did not get on; if it did, it has to again."""
        seconds = time.monotonic() - self.since
        if self.is_answered:
            return False
        if self.request is None and not self.total_outbufs_len:
            return seconds > IDLE_SECONDS
        if seconds <= SECONDS:
            return False
        late = self.moved < BYTES
        self._begin()
        return late


class WatchfulServer(TcpWSGIServer):
    """waitress's server, with such connections.

    Args:
        app: what answers.
        bound: the socket that it listens at.
        map: for wasyncore.
        limits: adjustments of waitress.
    """

    channel_class = _Connection

    def __init__(self, app: Any, bound: socket.socket, map: dict[int, Any], **limits: Any) -> None:
        adjustments = Adjustments(
            sockets=[bound],
            connection_limit=CONNECTIONS + _SPARE,  # never reached but by what we answer
            cleanup_interval=_EVERY,
            log_socket_errors=False,  # a client that goes away is no news
            asyncore_use_poll=True,  # select takes no descriptor over 1023
            **limits,
        )
        address = (bound.family, bound.type, bound.proto, bound.getsockname())
        super().__init__(
            app, map, True, bound, adj=adjustments, bind_socket=False, sockinfo=address
        )

    def handle_accept(self) -> None:
        """Let one more in, for which another one goes if there are too many.

        Of the address that has the most, the one that waits longest without getting on. So many
        slow ones from one place take nothing from others; and on one's own machine, where all
        come from one place, each new one is let in, and is answered as a rule before its turn to
        go comes.
        """
        if len(self.active_channels) >= CONNECTIONS and (least := self._least()) is not None:
            least.drop()
        super().handle_accept()

    def maintenance(self, now: float) -> None:
        """Close those that are late."""
        for one in self.active_channels.values():
            if one.is_late():
                one.drop()

    def pull_trigger(self) -> None:
        """Wake the loop; at the end of an answer that is later than the server's there is none."""
        with suppress(OSError):
            super().pull_trigger()

    def close_all(self) -> None:
        """Close the server and all connections."""
        wasyncore.close_all(self._map, ignore_all=True)

    def _least(self) -> _Connection | None:
        channels: list[_Connection] = list(self.active_channels.values())
        counts = Counter(place(one.addr) for one in channels)
        waiting = (one for one in channels if not (one.is_answered or one.will_close))
        return min(
            waiting,
            key=lambda one: (-counts[place(one.addr)], one.moved >= BYTES, one.since),
            default=None,
        )


def place(address: tuple[Any, ...]) -> str:
    """Name where a connection comes from: an IPv4 address, or the network of an IPv6 address."""
    found = ipaddress.ip_address(str(address[0]).partition("%")[0])
    if found.version == 4:
        return str(found)
    mapped = found.ipv4_mapped
    return str(mapped or ipaddress.ip_network((int(found), 64), strict=False))
