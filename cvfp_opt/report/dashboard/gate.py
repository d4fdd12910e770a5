"""What stands before optuna-dashboard, which lets anybody do anything.

It refuses requests for another host (a page elsewhere can make a browser ask this one, by DNS
rebinding), without the token where one is required, from other sites, and, where asked to, all
that would change something; to every answer it adds the headers that keep a browser from helping
an attacker.
"""

import html
import ipaddress
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from cvfp_opt.errors import CvfpOptError
from cvfp_opt.report.dashboard.sessions import Sessions
from cvfp_opt.store.dashboard_token import Token

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# A name or an IPv4 address, or an IPv6 address in brackets; a port may follow.
_HOST = re.compile(r"(?:([0-9A-Za-z._-]+)|\[([0-9A-Fa-f:.]+)\])(?::[0-9]+)?")

READING = ("GET", "HEAD", "OPTIONS")
CHANGING = ("POST", "PUT", "DELETE")

# optuna-dashboard's own, with the gaps closed: its plots need eval, its styles are inline.
_PAGE_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' data: 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; font-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
# Anybody who may upload an artifact could make it a page: it is shown, and runs nothing.
_ARTIFACT_POLICY = "sandbox; default-src 'none'; frame-ancestors 'none'"
_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
_REPLACED = {name.lower() for name, _ in _HEADERS} | {
    "content-security-policy",
    "access-control-allow-origin",
    "cache-control",
}


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Who may do what.

    Attributes:
        names: host names, lower case, by which the server is asked; addresses need no name, for
            rebinding needs one.
        token: what has to be shown; None if nothing has.
        read_only: whether nothing may be changed.
        home: the path that ``/`` leads to.
    """

    names: frozenset[str]
    token: Token | None
    read_only: bool
    home: str


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """One of the gate's own."""

    status: HTTPStatus
    text: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    page: str = ""  # HTML, for those who take it


class Gate:
    """The WSGI application that guards another one.

    Args:
        app: what is guarded.
        rules: who may do what.
        failed: told of an exception of ``app`` that it did not handle, with the request's line.
    """

    def __init__(
        self,
        app: "WSGIApplication",
        rules: Rules,
        failed: Callable[[Exception, str], None],
    ) -> None:
        self._app = app
        self._rules = rules
        self._failed = failed
        self._sessions = Sessions()

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            return start_response(status, _secured(headers, path), exc_info)

        answer = self._answer(environ)
        if answer is None:
            try:
                return self._app(environ, start)
            except CvfpOptError as error:  # a store that does not answer
                answer = _Answer(status=HTTPStatus.SERVICE_UNAVAILABLE, text=str(error))
            except Exception as error:
                self._failed(error, f"{environ['REQUEST_METHOD']} {path}")
                text = "the dashboard failed; its terminal says more"
                answer = _Answer(status=HTTPStatus.INTERNAL_SERVER_ERROR, text=text)
        return _send(answer, environ, start)

    def _answer(self, environ: "WSGIEnvironment") -> _Answer | None:
        """The gate's own answer; None for what may pass."""
        method = environ["REQUEST_METHOD"]
        return (
            self._wrong_host(environ)
            or self._wrong_token(environ, method)
            or self._wrong_method(method)
            or _wrong_origin(environ, method)
            or self._home(environ, method)
        )

    def _wrong_host(self, environ: "WSGIEnvironment") -> _Answer | None:
        name = host_name(environ.get("HTTP_HOST", ""))
        if name in self._rules.names or _is_address(name):
            return None
        names = ", ".join(sorted(self._rules.names))
        text = (
            f"this server answers for {names} and for addresses, not for that host; to allow it, "
            "start the dashboard with --allow-host"
        )
        return _Answer(status=HTTPStatus.MISDIRECTED_REQUEST, text=text)

    def _wrong_token(self, environ: "WSGIEnvironment", method: str) -> _Answer | None:
        token = self._rules.token
        if token is None or self._sessions.holds(environ.get("HTTP_COOKIE", "")):
            return None
        scheme, _, bearer = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() == "bearer" and token.fits(bearer.strip()):
            return None
        query = parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        shown = [value for key, value in query if key == "token"]
        if method == "GET" and len(shown) == 1 and token.fits(shown[0]):
            return self._welcome(environ, [pair for pair in query if pair[0] != "token"])
        return _Answer(
            status=HTTPStatus.UNAUTHORIZED,
            text="the token is required: open /?token=TOKEN in a browser, or send "
            "`Authorization: Bearer TOKEN`",
            headers=[("WWW-Authenticate", 'Bearer realm="cvfp-opt dashboard"')],
            page=_ASKING,
        )

    def _welcome(self, environ: "WSGIEnvironment", query: list[tuple[str, str]]) -> _Answer:
        """Sets the cookie, and goes on without the token in the address.

        By a page and not by a redirect: after a click on another site's link the browser would
        follow that without the cookie, which is for this site's own requests.
        """
        path = environ.get("PATH_INFO", "").encode("latin-1")
        target = (
            "/" + quote(path.lstrip(b"/\\"), safe="/") + (f"?{urlencode(query)}" if query else "")
        )
        return _Answer(
            status=HTTPStatus.OK,
            text="the token is right",
            headers=[("Set-Cookie", self._sessions.open())],
            page=_WELCOME.format(target=html.escape(target)),
        )

    def _wrong_method(self, method: str) -> _Answer | None:
        allowed = READING if self._rules.read_only else READING + CHANGING
        if method in allowed:
            return None
        return _Answer(
            status=HTTPStatus.METHOD_NOT_ALLOWED,
            text="the dashboard was started with --read-only: nothing can be changed here"
            if method in CHANGING
            else "there is no such method here",
            headers=[("Allow", ", ".join(allowed))],
        )

    def _home(self, environ: "WSGIEnvironment", method: str) -> _Answer | None:
        if method not in ("GET", "HEAD") or environ.get("PATH_INFO", "") not in ("", "/"):
            return None
        return _Answer(status=HTTPStatus.FOUND, headers=[("Location", self._rules.home)])


def host_name(host: str) -> str:
    """The name or address in a ``Host`` header, lower case, without port; "" for nonsense."""
    found = _HOST.fullmatch(host)
    return (found[1] or found[2]).lower() if found else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _wrong_origin(environ: "WSGIEnvironment", method: str) -> _Answer | None:
    """Another site's page that makes a browser change something here."""
    if method in READING:
        return None
    origin = environ.get("HTTP_ORIGIN")
    other = origin is not None and urlsplit(origin).netloc != environ.get("HTTP_HOST")
    if other or environ.get("HTTP_SEC_FETCH_SITE", "none") not in ("same-origin", "none"):
        text = "changes are taken from this server's own pages only"
        return _Answer(status=HTTPStatus.FORBIDDEN, text=text)
    return None


def _secured(headers: list[tuple[str, str]], path: str) -> list[tuple[str, str]]:
    """With the headers that every answer has, in the place of the application's own."""
    kept = [(name, value) for name, value in headers if name.lower() not in _REPLACED]
    policy = _ARTIFACT_POLICY if path.startswith("/artifacts") else _PAGE_POLICY
    cached = "no-cache" if path.startswith(("/static/", "/favicon")) else "no-store"
    return [*kept, *_HEADERS, ("Content-Security-Policy", policy), ("Cache-Control", cached)]


def _send(
    answer: _Answer, environ: "WSGIEnvironment", start_response: Callable[..., Any]
) -> Iterable[bytes]:
    if answer.page and "text/html" in environ.get("HTTP_ACCEPT", ""):
        kind, text = "text/html", answer.page
    elif environ.get("PATH_INFO", "").startswith("/api/"):
        kind, text = "application/json", json.dumps({"reason": answer.text})
    else:
        kind, text = "text/plain", f"{answer.text}\n" if answer.text else ""
    body = text.encode()
    headers = [("Content-Type", f"{kind}; charset=utf-8"), ("Content-Length", str(len(body)))]
    start_response(f"{answer.status.value} {answer.status.phrase}", [*headers, *answer.headers])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


_HEAD = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
    'content="width=device-width, initial-scale=1"><title>cvfp-opt dashboard</title>{meta}'
    "<style>body{{font:16px/1.5 system-ui,sans-serif;margin:4rem auto;max-width:32rem;padding:0 "
    "1rem}}@media(prefers-color-scheme:dark){{body{{background:#121212;color:#eee}}}}</style></head>"
)
_ASKING = (
    _HEAD.format(meta="") + '<body><h1>cvfp-opt dashboard</h1><form method="get"><label>Token '
    '<input name="token" type="password" required autofocus autocomplete="off"></label> '
    "<button>Open</button></form><p>It was printed when the dashboard was started for the first "
    "time; <code>cvfp-opt dashboard --new-token</code> makes another one.</p></body></html>"
)
_WELCOME = (
    _HEAD.replace("{meta}", '<meta http-equiv="refresh" content="0; url={target}">')
    + '<body><p><a href="{target}">To the dashboard</a></p></body></html>'
)
