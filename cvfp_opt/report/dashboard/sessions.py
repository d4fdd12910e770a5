"""Browsers that showed the token."""

import hashlib
import hmac
import secrets
import threading
import time

COOKIE = "cvfp_opt_dashboard"
SECONDS = 12 * 3600
# Open sessions: each needs the token; more come from a script, which should send the token itself.
MAX_SESSIONS = 100


class Sessions:
    """The browsers that showed the token, in memory: a session ends with the server.

    A browser is given a number of its own and not the token: it sends its cookies to whatever else
    listens on the same host.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: dict[bytes, float] = {}  # by digest, in order of their beginning

    def open(self) -> str:
        """Open a session, and return the value of its ``Set-Cookie`` header."""
        text = secrets.token_urlsafe(32)
        with self._lock:
            while len(self._ends) >= MAX_SESSIONS:
                del self._ends[next(iter(self._ends))]
            self._ends[_digest(text)] = time.monotonic() + SECONDS
        return f"{COOKIE}={text}; Path=/; Max-Age={SECONDS}; HttpOnly; SameSite=Strict"

    def writers(self, header: str) -> bool:
        """Check whether a ``Cookie`` header names a session that is open."""
        given = _value(header)
        if not given:
            return False
        digest, now = _digest(given), time.monotonic()
        with self._lock:
            found = [
                end > now for one, end in self._ends.items() if hmac.compare_digest(one, digest)
            ]
        return any(found)


def _value(header: str) -> str:
    """Find our cookie in one pass: other programs on this host have cookies of any size and form.

    http.cookies takes time with the square of a quoted value's length before Python 3.11.10.
    """
    pairs = (pair.partition("=") for pair in header.split(";"))
    return next((value.strip() for name, _, value in pairs if name.strip() == COOKIE), "")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
