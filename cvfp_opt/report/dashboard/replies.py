"""Replies of the gate itself: a line of text, JSON for the dashboard's scripts, or a page."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from cvfp_opt.escaping import printable
from cvfp_opt.report.dashboard.security_headers import own

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer that the gate itself gives.

    Attributes:
        status: of HTTP.
        text: one line.
        headers: further ones.
        page: HTML without script, for those who take it.
    """

    status: HTTPStatus
    text: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    page: str = ""

    def send(
        self, environ: "WSGIEnvironment", start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer a request, as WSGI applications do."""
        page = bool(self.page) and "text/html" in environ.get("HTTP_ACCEPT", "")
        if page:
            kind, text = "text/html", self.page
        elif environ.get("PATH_INFO", "").startswith("/api/"):
            kind, text = "application/json", json.dumps({"reason": self.text})
        else:
            kind, text = "text/plain", f"{printable(self.text)}\n" if self.text else ""
        body = text.encode()
        headers = [("Content-Type", f"{kind}; charset=utf-8"), ("Content-Length", str(len(body)))]
        start_response(
            f"{self.status.value} {self.status.phrase}",
            own([*headers, *self.headers], page=page),
        )
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


_HEAD = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
    'content="width=device-width, initial-scale=1"><title>cvfp-opt dashboard</title>{meta}'
    "<style>body{{font:16px/1.5 system-ui,sans-serif;margin:4rem auto;max-width:32rem;padding:0 "
    "1rem}}@media(prefers-color-scheme:dark){{body{{background:#121212;color:#eee}}}}</style></head>"
)
ASKING = (
    _HEAD.format(meta="") + '<body><h1>cvfp-opt dashboard</h1><form method="get"><label>Token '
    '<input name="token" type="password" required autofocus autocomplete="off"></label> '
    "<button>Open</button></form><p>It was printed when the dashboard was started for the first "
    "time; <code>cvfp-opt dashboard --new-token</code> makes another one.</p></body></html>"
)
WELCOME = (
    _HEAD.replace("{meta}", '<meta http-equiv="refresh" content="0; url={target}">')
    + '<body><p><a href="{target}">To the dashboard</a></p></body></html>'
)
