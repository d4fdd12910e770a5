"""Requests to a server: sent again only where that does no harm, refused by the same errors."""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import IO, Any
from urllib.parse import quote, urlencode, urlsplit

from cvfp_opt import errors
from cvfp_opt.errors import CvfpOptError, ServerError, StudyChanged, StudyMissing, TokenError
from cvfp_opt.escaping import excerpt
from cvfp_opt.redaction import redacted
from cvfp_opt.report.json_text import json_text
from cvfp_opt.version import __version__

# Seconds before each further attempt, after a connection was lost or a server was busy. Where
# nobody has answered yet, the address may be wrong: then it is the first ones alone.
PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
_FIRST_PAUSES = 2
_BUSY = (502, 503, 504)
_LOST = (OSError, http.client.HTTPException)
_API = "/api/v1/"
_ERROR = "urn:cvfp-opt:error:"
# The class of a refusal that names none, by the status; of all others ServerError.
_CLASSES: Mapping[int, type[CvfpOptError]] = {
    400: errors.DefinitionError,
    401: TokenError,
    403: TokenError,
    404: StudyMissing,
    412: StudyChanged,
    422: errors.DefinitionError,
}


@dataclass(frozen=True)
class Response:
    """An answer of the server.

    Attributes:
        status: of HTTP; 304 where nothing has changed.
        headers: by name, in any case.
        content: as it came.
    """

    status: int
    headers: Message
    content: bytes

    @property
    def value(self) -> Any:
        """The JSON that came. Raises ServerError if it is none."""
        try:
            return json.loads(self.content)
        except ValueError:
            got = excerpt(self.content[:80].decode("utf-8", "replace"))
            raise ServerError(
                f"the server gave no JSON ({got!r}): the address of a `cvfp-opt serve` is required"
            ) from None

    @property
    def next(self) -> str | None:
        """The address of what follows, as the header Link names it; None if nothing does."""
        target, _, rest = self.headers.get("Link", "").partition(">")
        return target.removeprefix("<") if 'rel="next"' in rest else None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nothing: the token would go along, to wherever the answer says."""

    def redirect_request(self, *arguments: Any, **named: Any) -> None:
        return None


@dataclass(eq=False)
class Connection:
    """A server, and who asks it. It pickles without the token.

    Attributes:
        url: of the server, with the path that a proxy has put before all others.
        timeout: seconds that an answer may take.
        token: shown to the server; None for none.
        answered: whether the server has answered anything.
    """

    url: str
    timeout: float
    token: str | None = field(default=None, repr=False)
    answered: bool = False

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"token": None}

    def get(
        self,
        *path: str,
        query: Mapping[str, Any] | None = None,
        accept: str = "application/json",
        tag: str | None = None,
    ) -> Response:
        """Ask for something; see ``send``.

        Args:
            path: its parts.
            query: what the address says.
            accept: the type of what is wanted.
            tag: what is known already: its ETag.
        """
        known = {} if tag is None else {"If-None-Match": tag}
        return self.send("GET", *path, query=query, headers={"Accept": accept, **known})

    def change(
        self, method: str, *path: str, body: Any = None, version: int | None, again: bool = True
    ) -> Any:
        """Change a study; return the JSON that comes.

        Args:
            method, path: what to do with what.
            body: a JSON value.
            version: that it must still have; None for any.
            again: whether the same change twice is no other than once.

        Raises:
            StudyChanged: it has another version.
        """
        match = "*" if version is None else f'"{version}"'
        response = self.send(
            method,
            *path,
            body={} if body is None else body,
            headers={"If-Match": match},
            again=again and version is None,
        )
        return response.value if response.content else None

    def send(
        self,
        method: str,
        *path: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        again: bool = True,
    ) -> Response:
        """Send a request; where the connection is lost or the server is busy, several times.

        Args:
            method: of HTTP.
            path: its parts below /api/v1, each any text; or one address that the server gave.
            query: what the address says.
            body: a JSON value; None for none.
            headers: further ones.
            again: whether it may be sent again when nobody knows what became of it.

        Raises:
            ServerError: there is no answer, or none of ours.
            CvfpOptError: the server refuses, with its own sentence.
        """
        request = self._request(method, path, query, body, headers or {})
        pauses = PAUSES if self.answered else PAUSES[:_FIRST_PAUSES]
        for pause in (*pauses, None) if again else (None,):
            try:
                return self._once(request)
            except urllib.error.HTTPError as error:
                with error:
                    if pause is None or error.code not in _BUSY:
                        raise self._refusal(error) from None
            except _LOST as error:
                if pause is None or not _passes(error):
                    raise ServerError(self._lost(error, method, again)) from None
            time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def _request(
        self,
        method: str,
        path: tuple[str, ...],
        query: Mapping[str, Any] | None,
        body: Any,
        headers: Mapping[str, str],
    ) -> urllib.request.Request:
        place = _API + "/".join(quote(part, safe="") for part in path)
        if query:
            place += f"?{urlencode(query, doseq=True)}"
        if len(path) == 1 and path[0].startswith("/"):  # an address of the server's own
            place = path[0].removeprefix(urlsplit(self.url).path)
        sent = {"Accept": "application/json", "User-Agent": f"cvfp-opt/{__version__}", **headers}
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        data = None
        if body is not None:
            data, sent["Content-Type"] = json_text(body, indent=None).encode(), "application/json"
        return urllib.request.Request(f"{self.url}{place}", data, sent, method=method)

    def _once(self, request: urllib.request.Request) -> Response:
        opener = urllib.request.build_opener(_NoRedirect)
        try:
            with opener.open(request, timeout=self.timeout) as answer:
                self.answered = True
                return Response(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            self.answered = True
            if error.code != 304:
                raise
            with error:
                return Response(error.code, error.headers, b"")

    def _refusal(self, error: urllib.error.HTTPError) -> CvfpOptError:
        """Make the error that the server says, of the class that it names."""
        problem = _problem(error)
        if problem is None:
            where = error.headers.get("Location")
            more = f" (it leads to {excerpt(where)})" if where else ""
            return ServerError(
                f"{self.url}: answers {error.code} {error.reason}{more}, and not as "
                "`cvfp-opt serve` does: its address is required"
            )
        kind = getattr(errors, str(problem.get("type", "")).removeprefix(_ERROR), None)
        if not (isinstance(kind, type) and issubclass(kind, CvfpOptError)):
            kind = _CLASSES.get(error.code, ServerError)
        return kind(str(problem.get("detail") or error.reason))

    def _lost(self, error: Exception, method: str, again: bool) -> str:
        reason = getattr(error, "reason", None) or error
        why = excerpt(redacted(str(reason))) or type(error).__name__
        done = "" if again or method == "GET" else "; whether it was carried out, nobody knows"
        return f"{self.url}: does not answer: {why}{done}; is `cvfp-opt serve` running there?"


def _passes(error: Exception) -> bool:
    """Check whether a connection was lost, so that another may do: not an unknown name, say."""
    reason = getattr(error, "reason", error)
    return isinstance(reason, ConnectionError | http.client.HTTPException)


def _problem(error: IO[bytes]) -> dict[str, Any] | None:
    try:
        found = json.loads(error.read())
    except (ValueError, *_LOST):
        return None
    return found if isinstance(found, dict) and "detail" in found else None
