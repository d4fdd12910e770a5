"""Tell systemd, or whatever else started this process, how it is: ready, alive, stopping.

The protocol of ``sd_notify(3)``: a datagram of ``KEY=VALUE`` lines to the socket that the variable
``NOTIFY_SOCKET`` names. It is sent here and not by a package: ``sdnotify`` is of 2017 and swallows
what fails, the others have to be compiled.
"""

import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from cvfp_opt.escaping import printable

# A status longer than this is of no use in a line of `systemctl status`.
_LONGEST = 500


@dataclass(frozen=True, kw_only=True)
class Supervisor:
    """Whoever started this process and asked to be told; nobody, as a rule.

    Attributes:
        address: of its socket; "" if there is none: then nothing is sent.
        seconds: within which it wants a sign of life again and again; None if it wants none.
    """

    address: str = ""
    seconds: float | None = None

    @classmethod
    def of(cls, environment: Mapping[str, str] = os.environ) -> "Supervisor":
        """Read what a supervisor has set; what cannot be used counts as not set."""
        address = environment.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")) or not hasattr(socket, "AF_UNIX"):
            return cls()
        meant = environment.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        wait = environment.get("WATCHDOG_USEC", "")
        if not (meant and wait.isascii() and wait.isdigit() and int(wait)):
            return cls(address=address)
        return cls(address=address, seconds=int(wait) / 1e6)

    def ready(self, status: str = "") -> None:
        """Say that this process does its work from now on."""
        self._send("READY=1", *_status(status))

    def say(self, status: str) -> None:
        """Say in a line what this process does."""
        self._send(*_status(status))

    def alive(self) -> None:
        """Give the sign of life; without it for ``seconds``, this process is ended."""
        if self.seconds is not None:
            self._send("WATCHDOG=1")

    def stopping(self, status: str = "") -> None:
        """Say that this process is about to end."""
        self._send("STOPPING=1", *_status(status))

    @contextmanager
    def watched(self, is_well: Callable[[], bool] = lambda: True) -> Iterator[None]:
        """Give signs of life meanwhile, from a thread, as long as ``is_well`` says so in time.

        Args:
            is_well: called several times in ``seconds``; False, an exception or no answer keeps
                the sign back.
        """
        if self.seconds is None:
            yield
            return
        ended = threading.Event()

        def watch(pause: float) -> None:
            while True:
                if _holds(is_well):
                    self.alive()
                if ended.wait(pause):
                    return

        # a third: one that is late, on a busy machine, is followed by another in time
        thread = threading.Thread(target=watch, args=(self.seconds / 3,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(self.seconds)

    def _send(self, *lines: str) -> None:
        """Send lines; a supervisor that is gone, or deaf, must not end the work."""
        if not self.address:
            return
        where = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(1)  # its queue may be full
                sender.sendto("\n".join(lines).encode("utf-8", "replace"), where)
        except OSError:
            return


def _status(text: str) -> list[str]:
    """Write a status as one line, for a line feed would begin another key."""
    return [f"STATUS={printable(text)[:_LONGEST]}"] if text else []


def _holds(is_well: Callable[[], bool]) -> bool:
    try:
        return is_well()
    except Exception:  # what asks cannot end the thread: silence is the answer
        return False
