"""Browsers that showed a token."""

import hmac
import secrets
import threading
import time
from typing import NamedTuple

from cvfp_opt.store.files.dashboard_token import digest_of

COOKIE = "cvfp_opt_dashboard"
SECONDS = 12 * 3600
# Open sessions: each needs a token; more come from a script, which should send the token itself.
MAX_SESSIONS = 100


class _Session(NamedTuple):
    end: float
    key: bytes


class Sessions:
    """The browsers that showed a token, in memory: a session ends with the server.

    A browser is given a number of its own and not the token: it sends its cookies to whatever else
    listens on the same host. A session knows the digest of its token, which is looked up with each
    request: it ends with its token.

    Args:
        path: below which browsers send the cookie.
    """

    def __init__(self, path: str = "/") -> None:
        self._path = path
        self._lock = threading.Lock()
        self._open: dict[bytes, _Session] = {}  # by digest, in order of their beginning

    def open(self, key: bytes, *, secure: bool = False) -> str:
        """Open a session of a token's digest; return the value of its ``Set-Cookie`` header.

        Args:
            key: the digest.
            secure: whether the browser came by HTTPS, and is to send the cookie by nothing else.
        """
        text = secrets.token_urlsafe(32)
        with self._lock:
            while len(self._open) >= MAX_SESSIONS:
                del self._open[next(iter(self._open))]
            self._open[digest_of(text)] = _Session(time.monotonic() + SECONDS, key)
        words = [f"{COOKIE}={text}", f"Path={self._path}", f"Max-Age={SECONDS}"]
        words += ["HttpOnly", "SameSite=Strict", *(["Secure"] if secure else [])]
        return "; ".join(words)

    def key(self, header: str) -> bytes | None:
        """Find the digest of the token whose session a ``Cookie`` header names; None for none."""
        given = _value(header)
        if not given:
            return None
        digest, now = digest_of(given), time.monotonic()
        with self._lock:
            found = [
                session.key
                for one, session in self._open.items()
                if hmac.compare_digest(one, digest) and session.end > now
            ]
        return found[0] if found else None


def _value(header: str) -> str:
    """Find our cookie in one pass: other programs on this host have cookies of any size and form.

    http.cookies takes time with the square of a quoted value's length before Python 3.11.10.
    """
    pairs = (pair.partition("=") for pair in header.split(";"))
    return next((value.strip() for name, _, value in pairs if name.strip() == COOKIE), "")
