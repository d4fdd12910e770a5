"""The gate before optuna-dashboard, which by itself lets anybody do anything, and before `serve`.

It refuses requests whose address can be read in two ways, for another host (a page elsewhere can
make a browser ask this one, by DNS rebinding), from other sites, and without a token where one is
required. Who asks, and may do what, goes on to what it guards.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qsl, quote, urlencode

from cvfp_opt.errors import CvfpOptError, TokenError
from cvfp_opt.report.dashboard.replies import API, Reply, asking_page, welcome_page
from cvfp_opt.report.dashboard.request_target import ANYWHERE, BadTarget, Places, settle
from cvfp_opt.report.dashboard.sessions import Sessions
from cvfp_opt.store.files.dashboard_token import Token, digest_of
from cvfp_opt.store.record.tokens import Rights, Scope

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# A header ``Host``: a name, an IPv4 address, or an IPv6 address in brackets; a port may follow.
_HOST = re.compile(r"(?:([0-9A-Za-z._-]+)|\[([0-9A-Fa-f:.]+)\])(?::[0-9]+)?")
_FORM = "application/x-www-form-urlencoded"
_MAX_FORM = 4096
_UNKNOWN = "that token is unknown, or was revoked"

READING = ("GET", "HEAD", "OPTIONS")
EVERYTHING = Rights(scopes=frozenset((Scope.ADMIN,)))
NOTHING = Rights()
# In ``environ``: the rights of whoever asks.
RIGHTS = "cvfp_opt.rights"


class Keys(Protocol):
    """What knows tokens."""

    def rights(self, digest: bytes) -> Rights | None:
        """Look up what the token of a digest is good for; None if there is none.

        Raises:
            TokenError: it is good for nothing any more.
        """


@dataclass(frozen=True)
class OneToken:
    """One token, which is good for everything."""

    token: Token

    def rights(self, digest: bytes) -> Rights | None:
        """See Keys."""
        return EVERYTHING if self.token.is_of(digest) else None


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The rules of a server: who may do what.

    Attributes:
        names: host names, lower case, by which the server is asked; addresses need no name, for
            rebinding needs one.
        keys: what knows the tokens; None if there are none, and nobody is asked.
        others: the rights of those who show no token; None if they have to.
        open_paths: what anybody is told.
        by_link: whether a token may stand in an address, ``/?token=TOKEN``.
        places: what is where.
        title: what is guarded, in a word or two.
        whence: where a token comes from, as HTML.
    """

    names: frozenset[str]
    keys: Keys | None = None
    others: Rights | None = EVERYTHING
    open_paths: frozenset[str] = frozenset()
    by_link: bool = True
    places: Places = ANYWHERE
    title: str = "dashboard"
    whence: str = ""


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
        self._sessions = Sessions(rules.places.base or "/")

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["REQUEST_URI"].partition("?")[0]
        try:
            path = settle(environ, self._rules.places)
            answer = self._answer(environ, method, path)
            if answer is None:
                return self._app(environ, start_response)
        except BadTarget as error:
            environ["PATH_INFO"] = path.removeprefix(self._rules.places.base)
            answer = Reply(status=HTTPStatus.BAD_REQUEST, text=str(error))
        except CvfpOptError as error:  # a store that does not answer
            answer = _problem(HTTPStatus.SERVICE_UNAVAILABLE, error)
        except Exception as error:
            self._failed(error, f"{method} {path}")
            text = f"the {self._rules.title} failed; its terminal says more"
            answer = Reply(status=HTTPStatus.INTERNAL_SERVER_ERROR, text=text)
        return answer.send(environ, start_response)

    def _answer(self, environ: "WSGIEnvironment", method: str, path: str) -> Reply | None:
        """Give the gate's own answer; None for what may pass, whose rights are noted."""
        refusal = self._wrong_host(environ) or _wrong_origin(environ, method)
        if refusal is not None:
            return refusal
        if path in self._rules.open_paths:
            environ[RIGHTS] = NOTHING
            return None
        found = self._rights(environ, method, path)
        if isinstance(found, Reply):
            return found
        environ[RIGHTS] = found
        return None

    def _wrong_host(self, environ: "WSGIEnvironment") -> Reply | None:
        name = host_name(environ.get("HTTP_HOST", ""))
        if name in self._rules.names or _is_address(name):
            return None
        names = ", ".join(sorted(self._rules.names))
        text = (
            f"this server answers for {names} and for addresses, not for that host; to allow it, "
            f"start the {self._rules.title} with --allow-host"
        )
        return Reply(status=HTTPStatus.MISDIRECTED_REQUEST, text=text)

    def _rights(self, environ: "WSGIEnvironment", method: str, path: str) -> Rights | Reply:
        """Find out who asks: by the token that is shown, or was shown before."""
        rules = self._rules
        if rules.keys is None:
            return rules.others or NOTHING
        shown = environ.get("HTTP_AUTHORIZATION")
        if shown is not None:
            scheme, _, bearer = shown.partition(" ")
            sent = digest_of(bearer.strip()) if scheme.lower() == "bearer" else b""
            found, why = _look_up(rules.keys, sent)
            return found or self._asking(why or _UNKNOWN)
        session = self._sessions.key(environ.get("HTTP_COOKIE", ""))
        found, why = _look_up(rules.keys, session) if session else (None, "")
        if found or rules.others is not None:
            return found or rules.others or NOTHING
        return self._signed_in(rules.keys, environ, method, path) or self._asking(why)

    def _signed_in(
        self, keys: Keys, environ: "WSGIEnvironment", method: str, path: str
    ) -> Reply | None:
        """Take the token that a browser shows, by its form or in a link, and set the cookie.

        Then go on without the token in the address; by a page and not by a redirect: after a
        click on another site's link the browser would follow that without the cookie, which is
        for this site's own requests.
        """
        query = parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        shown: list[tuple[str, str]] = []
        if method == "GET" and self._rules.by_link:
            shown, query = query, [pair for pair in query if pair[0] != "token"]
        elif method == "POST" and _is_form(environ) and not path.startswith(API):
            sent = environ["wsgi.input"].read(_MAX_FORM)
            shown = parse_qsl(sent.decode("utf-8", "replace"), keep_blank_values=True)
        texts = [value for name, value in shown if name == "token"]
        if len(texts) != 1:
            return None
        key = digest_of(texts[0])
        found, why = _look_up(keys, key)
        if found is None:
            return self._asking(why or _UNKNOWN)
        asked = f"?{urlencode(query)}" if query else ""
        target = f"{self._rules.places.base}{quote(path, safe='/%')}{asked}"
        return Reply(
            status=HTTPStatus.OK,
            text="the token is right",
            headers=[("Set-Cookie", self._sessions.open(key, secure=_by_https(environ)))],
            page=welcome_page(self._rules.title, target),
        )

    def _asking(self, why: str = "") -> Reply:
        by_link = "open /?token=TOKEN in a browser, or " if self._rules.by_link else ""
        text = f"the token is required: {by_link}send `Authorization: Bearer TOKEN`"
        invalid = ', error="invalid_token"' if why else ""
        return Reply(
            status=HTTPStatus.UNAUTHORIZED,
            text=f"{why}; {text}" if why else text,
            headers=[("WWW-Authenticate", f'Bearer realm="cvfp-opt"{invalid}')],
            page=asking_page(f"cvfp-opt {self._rules.title}", self._rules.whence),
        )


def host_name(host: str) -> str:
    """Extract the name or address from a ``Host`` header, in lower case; "" for nonsense."""
    found = _HOST.fullmatch(host)
    return (found[1] or found[2]).lower() if found else ""


def refuse_scope(scope: Scope) -> Reply:
    """Refuse what a token is not good for."""
    return Reply(
        status=HTTPStatus.FORBIDDEN,
        text=f"the token lacks the scope `{scope.value}`, which this requires",
        headers=[
            (
                "WWW-Authenticate",
                f'Bearer realm="cvfp-opt", error="insufficient_scope", scope="{scope.value}"',
            )
        ],
    )


def _look_up(keys: Keys, key: bytes) -> tuple[Rights | None, str]:
    """Look up a token by its digest; if it has expired, say so."""
    try:
        return keys.rights(key), ""
    except TokenError as error:
        return None, str(error)


def _by_https(environ: "WSGIEnvironment") -> bool:
    """Check whether a browser says that it came by HTTPS, as forms do; a proxy hides it else."""
    return str(environ.get("HTTP_ORIGIN", "")).lower().startswith("https://")


def _is_form(environ: "WSGIEnvironment") -> bool:
    return str(environ.get("CONTENT_TYPE", "")).lower().startswith(_FORM)


def _problem(status: HTTPStatus, error: CvfpOptError) -> Reply:
    return Reply(status=status, text=str(error), error=type(error).__name__)


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
