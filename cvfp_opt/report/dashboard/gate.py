"""The gate before optuna-dashboard, which by itself lets anybody do anything.

It refuses requests whose address can be read in two ways, for another host (a page elsewhere can
make a browser ask this one, by DNS rebinding), without the token where one is required, from other
sites, and, where asked to, all that would change something; to every answer it adds the headers
that keep a browser from helping an attacker.
"""

import html
import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode

from cvfp_opt.errors import CvfpOptError
from cvfp_opt.report.dashboard.replies import ASKING, WELCOME, Reply
from cvfp_opt.report.dashboard.request_target import BadTarget, settle
from cvfp_opt.report.dashboard.security_headers import secured
from cvfp_opt.report.dashboard.sessions import Sessions
from cvfp_opt.store.files.dashboard_token import Token

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# A header ``Host``: a name, an IPv4 address, or an IPv6 address in brackets; a port may follow.
_HOST = re.compile(r"(?:([0-9A-Za-z._-]+)|\[([0-9A-Fa-f:.]+)\])(?::[0-9]+)?")

READING = ("GET", "HEAD", "OPTIONS")
CHANGING = ("POST", "PUT", "DELETE")


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The rules of a server: who may do what.

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


class Gate:
    """The WSGI application that guards another one.

    Args:
        app: what is guarded.
        rules: who may do what.
        failed: called with an exception that ``app`` did not handle, and the request's line.
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
        try:
            path = settle(environ)
        except BadTarget as error:
            bad = Reply(status=HTTPStatus.BAD_REQUEST, text=str(error))
            return bad.send(environ, start_response)

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            return start_response(status, secured(path, status, headers), exc_info)

        method = environ["REQUEST_METHOD"]
        answer = self._answer(environ, method, path)
        if answer is None:
            _complete(environ, method)
            try:
                return self._app(environ, start)
            except CvfpOptError as error:  # a store that does not answer
                answer = Reply(status=HTTPStatus.SERVICE_UNAVAILABLE, text=str(error))
            except Exception as error:
                self._failed(error, f"{method} {path}")
                text = "the dashboard failed; its terminal says more"
                answer = Reply(status=HTTPStatus.INTERNAL_SERVER_ERROR, text=text)
        return answer.send(environ, start_response)

    def _answer(self, environ: "WSGIEnvironment", method: str, path: str) -> Reply | None:
        """Give the gate's own answer; None for what may pass."""
        return (
            self._wrong_host(environ)
            or self._wrong_token(environ, method, path)
            or self._wrong_method(method)
            or _wrong_origin(environ, method)
            or self._home(method, path)
        )

    def _wrong_host(self, environ: "WSGIEnvironment") -> Reply | None:
        name = host_name(environ.get("HTTP_HOST", ""))
        if name in self._rules.names or _is_address(name):
            return None
        names = ", ".join(sorted(self._rules.names))
        text = (
            f"this server answers for {names} and for addresses, not for that host; to allow it, "
            "start the dashboard with --allow-host"
        )
        return Reply(status=HTTPStatus.MISDIRECTED_REQUEST, text=text)

    def _wrong_token(self, environ: "WSGIEnvironment", method: str, path: str) -> Reply | None:
        token = self._rules.token
        if token is None or self._sessions.writers(environ.get("HTTP_COOKIE", "")):
            return None
        scheme, _, bearer = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if scheme.lower() == "bearer" and token.fits(bearer.strip()):
            return None
        query = parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        shown = [value for key, value in query if key == "token"]
        if method == "GET" and len(shown) == 1 and token.fits(shown[0]):
            return self._welcome(path, [pair for pair in query if pair[0] != "token"])
        return Reply(
            status=HTTPStatus.UNAUTHORIZED,
            text="the token is required: open /?token=TOKEN in a browser, or send "
            "`Authorization: Bearer TOKEN`",
            headers=[("WWW-Authenticate", 'Bearer realm="cvfp-opt dashboard"')],
            page=ASKING,
        )

    def _welcome(self, path: str, query: list[tuple[str, str]]) -> Reply:
        """Set the cookie, and go on without the token in the address.

        By a page and not by a redirect: after a click on another site's link the browser would
        follow that without the cookie, which is for this site's own requests.
        """
        target = quote(path, safe="/") + (f"?{urlencode(query)}" if query else "")
        return Reply(
            status=HTTPStatus.OK,
            text="the token is right",
            headers=[("Set-Cookie", self._sessions.open())],
            page=WELCOME.format(target=html.escape(target)),
        )

    def _wrong_method(self, method: str) -> Reply | None:
        allowed = READING if self._rules.read_only else READING + CHANGING
        if method in allowed:
            return None
        return Reply(
            status=HTTPStatus.METHOD_NOT_ALLOWED,
            text="the dashboard was started with --read-only: nothing can be changed here"
            if method in CHANGING
            else "there is no such method here",
            headers=[("Allow", ", ".join(allowed))],
        )

    def _home(self, method: str, path: str) -> Reply | None:
        if method not in ("GET", "HEAD") or path != "/":
            return None
        return Reply(status=HTTPStatus.FOUND, headers=[("Location", self._rules.home)])


def host_name(host: str) -> str:
    """Extract the name or address from a ``Host`` header, in lower case; "" for nonsense."""
    found = _HOST.fullmatch(host)
    return (found[1] or found[2]).lower() if found else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _wrong_origin(environ: "WSGIEnvironment", method: str) -> Reply | None:
    """Refuse another site's page that makes a browser change something here."""
    if method in READING:
        return None
    origin = environ.get("HTTP_ORIGIN")
    own = environ.get("HTTP_HOST", "")
    other = origin is not None and origin.lower().partition("://")[2] != own.lower()
    if other or environ.get("HTTP_SEC_FETCH_SITE", "none") not in ("same-origin", "none"):
        text = "changes are taken from this server's own pages only"
        return Reply(status=HTTPStatus.FORBIDDEN, text=text)
    return None


def _complete(environ: "WSGIEnvironment", method: str) -> None:
    """Leave out what the dashboard would stumble over, and put in what it asks for."""
    takes_gzip = "gzip" in environ.get("HTTP_ACCEPT_ENCODING", "")
    environ["HTTP_ACCEPT_ENCODING"] = "gzip" if takes_gzip else ""
    environ.pop("HTTP_RANGE", None)  # its files are small
    if method in READING:  # else it looks for a form in the body
        environ.pop("CONTENT_TYPE", None)
