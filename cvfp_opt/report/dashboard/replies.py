"""Replies of the gate itself: a line of text, JSON for scripts, or a page."""

import html
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypedDict

from cvfp_opt.escaping import printable
from cvfp_opt.report.dashboard.security_headers import OWN_PAGE, STRICT, own

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

# Paths of our own interface, whose refusals are problems as RFC 9457 has them.
API = "/api/v1/"
_ERROR = "urn:cvfp-opt:error:"


class ProblemJson(TypedDict):
    """Why there is no answer, as RFC 9457 has it.

    Attributes:
        type: "urn:cvfp-opt:error:" and the class of the error, or "about:blank".
        title: what the status means.
        status: of HTTP.
        detail: what was required, what came, and what to do: the sentence of the command line.
    """

    type: str
    title: str
    status: int
    detail: str


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer that the gate itself gives.

    Attributes:
        status: of HTTP.
        text: one line.
        headers: further ones.
        page: HTML without script, for those who take it.
        error: the class of the error that it is about; "" for none.
    """

    status: HTTPStatus
    text: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    page: str = ""
    error: str = ""

    def send(
        self, environ: "WSGIEnvironment", start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer a request, as WSGI applications do."""
        kind, text, page = self._content(environ)
        body = text.encode()
        headers = [("Content-Type", kind), ("Content-Length", str(len(body)))]
        start_response(
            f"{self.status.value} {self.status.phrase}",
            own([*headers, *self.headers], policy=OWN_PAGE if page else STRICT),
        )
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _content(self, environ: "WSGIEnvironment") -> tuple[str, str, bool]:
        path = environ.get("PATH_INFO", "")
        if path.startswith(API):
            return "application/problem+json", f"{json.dumps(self.problem())}\n", False
        if self.page and "text/html" in environ.get("HTTP_ACCEPT", ""):
            return "text/html; charset=utf-8", self.page, True
        if path.startswith("/api/"):
            return "application/json; charset=utf-8", json.dumps({"reason": self.text}), False
        text = f"{printable(self.text)}\n" if self.text else ""
        return "text/plain; charset=utf-8", text, False

    def problem(self) -> ProblemJson:
        """Say what is wrong as RFC 9457 has it."""
        return {
            "type": f"{_ERROR}{self.error}" if self.error else "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.text,
        }


# By the header alone, Referrer-Policy: no-referrer, browsers would send forms with "Origin: null".
_HEAD = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
    'content="width=device-width, initial-scale=1"><meta name="referrer" content="same-origin">'
    "<title>{title}</title>{meta}"
    "<style>body{{font:16px/1.5 system-ui,sans-serif;margin:4rem auto;max-width:32rem;padding:0 "
    "1rem}}@media(prefers-color-scheme:dark){{body{{background:#121212;color:#eee}}}}</style></head>"
)
_ASKING = (
    "<body><h1>{title}</h1>"
    '<form method="post"><label>Token '
    '<input name="token" type="password" required autofocus autocomplete="off"></label> '
    "<button>Open</button></form><p>{whence}</p></body></html>"
)


def asking_page(title: str, whence: str) -> str:
    """Make the page that asks for a token.

    Args:
        title: what it opens.
        whence: where a token comes from, as HTML.
    """
    return (_HEAD + _ASKING).format(title=html.escape(title), meta="", whence=whence)


def welcome_page(title: str, target: str) -> str:
    """Make the page that leads on to an address."""
    where, named = html.escape(target), html.escape(title)
    meta = f'<meta http-equiv="refresh" content="0; url={where}">'
    body = f'<body><p><a href="{where}">To the {named}</a></p></body></html>'
    return _HEAD.format(title=named, meta=meta) + body
