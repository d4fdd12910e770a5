"""A hook that is sent each event over HTTP, signed."""

import hashlib
import hmac
import http.client
import os
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from cvfp_opt.escaping import excerpt
from cvfp_opt.notify.hook import Keys, Outcome
from cvfp_opt.store.record.event import Event
from cvfp_opt.version import __version__

KEYS = ("url", "secret", "secret_env")
SIGNATURE, DELIVERY, KIND = "X-Cvfp-Signature", "X-Cvfp-Delivery", "X-Cvfp-Event"
_GONE = 410


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """A URL that each event is sent to.

    Attributes:
        url: http or https. It may itself be a secret, so it is shown to nobody.
        secret: that signs what is sent; "" for no signature.
    """

    url: str = field(repr=False)
    secret: str = field(default="", repr=False)

    @property
    def shown(self) -> str:
        """The server, and whether there is more."""
        parts = urlsplit(self.url)
        more = "/…" if parts.path.strip("/") or parts.query else ""
        return f"{parts.scheme}://{parts.netloc}{more}"

    def deliver(self, event: Event, seconds: float) -> Outcome:
        """Send it; any 2xx is an answer that it arrived."""
        body = event.to_json().encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"cvfp-opt/{__version__}",
            KIND: event.kind,
            DELIVERY: event.uuid,
        }
        if self.secret:
            headers[SIGNATURE] = signature(self.secret, int(time.time()), body)
        request = urllib.request.Request(self.url, data=body, headers=headers, method="POST")
        try:
            with _Deadline(seconds) as deadline:
                deadline.opener().open(request, timeout=seconds).close()
        except urllib.error.HTTPError as error:
            error.close()
            more = "; redirections are not followed" if 300 <= error.code < 400 else ""
            return Outcome(
                why=f"{self.shown} answered {error.code}{more}", gone=error.code == _GONE
            )
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            words = excerpt(str(reason) or type(reason).__name__)
            if isinstance(reason, TimeoutError) or deadline.over:
                words = f"no answer within {seconds:g} s"
            return Outcome(why=f"{self.shown}: {words}")
        return Outcome()


def signature(secret: str, seconds: int, body: bytes) -> str:
    """Sign a body that is sent at a time: HMAC-SHA256 over the time, a full stop and the body."""
    signed = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256)
    return f"t={seconds},v1={signed.hexdigest()}"


def read_webhook(keys: Keys) -> Webhook:
    """Read one of the file's keys.

    Raises:
        NotifyError: they are not as required.
    """
    url, secret, variable = (
        keys.text("url"),
        keys.optional_text("secret"),
        keys.optional_text("secret_env"),
    )
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits or "@" in parts.netloc or any(not "!" <= one <= "~" for one in url):
        raise keys.refusal("url", "a URL as https://HOST/PATH, without a user, is required", url)
    if secret and variable:
        raise keys.refusal("secret_env", "no second secret beside `secret` is required", variable)
    if variable:
        secret = os.environ.get(variable, "")
        if not secret:
            required = f"the variable {variable} with the secret is required"
            raise keys.refusal("secret_env", required, None)
    return Webhook(url=url, secret=secret)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows nothing: a signed event is for the server that is named, and for no other."""

    def redirect_request(self, *_: Any) -> None:
        return None


class _Deadline:
    """Breaks a connection when its time is over; a context manager.

    A socket's own timeout begins anew with each byte that comes.
    """

    def __init__(self, seconds: float) -> None:
        self.over = False
        self._connections: list[http.client.HTTPConnection] = []
        self._timer = threading.Timer(seconds, self._break)
        self._timer.daemon = True

    def __enter__(self) -> "_Deadline":
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def opener(self) -> urllib.request.OpenerDirector:
        """Make what opens URLs by connections that this one knows."""
        return urllib.request.build_opener(_NoRedirects, _Http(self), _Https(self))

    def knowing(
        self, kind: "type[http.client.HTTPConnection]"
    ) -> Callable[..., http.client.HTTPConnection]:
        """Make connections of a kind that are broken in time."""

        def made(host: str, **options: Any) -> http.client.HTTPConnection:
            self._connections.append(kind(host, **options))
            return self._connections[-1]

        return made

    def _break(self) -> None:
        self.over = True
        for connection in self._connections:
            if connection.sock is not None:
                with suppress(OSError):  # TLS's own would first say goodbye
                    socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)


class _Http(urllib.request.HTTPHandler):
    def __init__(self, deadline: _Deadline) -> None:
        super().__init__()
        self._deadline = deadline

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        made: Any = self._deadline.knowing(http.client.HTTPConnection)
        return self.do_open(made, request)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, deadline: _Deadline) -> None:
        super().__init__()
        self._deadline = deadline

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        made: Any = self._deadline.knowing(http.client.HTTPSConnection)
        return self.do_open(made, request, context=ssl.create_default_context())
