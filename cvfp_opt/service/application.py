"""The application of `serve`: its routes, and the dashboard for all else."""

import hashlib
import io
import threading
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from cvfp_opt.errors import (
    CvfpOptError,
    StorageError,
    StudyChanged,
    StudyError,
    StudyMissing,
)
from cvfp_opt.report.dashboard.gate import RIGHTS, refuse_scope
from cvfp_opt.report.dashboard.replies import Reply
from cvfp_opt.report.dashboard.request_target import BELOW, SEGMENTS
from cvfp_opt.report.dashboard.security_headers import STRICT, own
from cvfp_opt.report.json_text import json_text
from cvfp_opt.service.desk import Desk
from cvfp_opt.service.reading import MAX_BODY, read_json, read_query, read_version
from cvfp_opt.service.route import JSON, Answer, Call, Refusal, Route, refuse, require_covered
from cvfp_opt.store.database.storage import translated
from cvfp_opt.store.record.tokens import Rights

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Its pages ask for /static and /api at the root of the host, wherever they themselves are.
_NO_DASHBOARD = Reply(
    status=HTTPStatus.NOT_FOUND,
    text="there is nothing at this address; the dashboard cannot be shown below a path: give the "
    "server a host name of its own, without --base-path",
)
# Slow requests at a time: the server has four threads, and the others answer quickly.
_SLOW = 2
_LONGEST_SENTENCE = 4000
# Bytes of an answer from which on it is handed over as a file.
_LARGE = 1 << 19
# The first class that fits says the status of an error.
STATUSES: tuple[tuple[type[CvfpOptError], HTTPStatus], ...] = (
    (StudyMissing, HTTPStatus.NOT_FOUND),
    (StudyChanged, HTTPStatus.PRECONDITION_FAILED),
    (StudyError, HTTPStatus.CONFLICT),
    (StorageError, HTTPStatus.SERVICE_UNAVAILABLE),
    (CvfpOptError, HTTPStatus.BAD_REQUEST),
)


class Service:
    """The WSGI application behind the gate.

    Args:
        routes: what is answered here.
        desk: what there is to answer with.
        dashboard: answers all else.
    """

    def __init__(self, routes: Sequence[Route], desk: Desk, dashboard: "WSGIApplication") -> None:
        self._routes = routes
        self._desk = desk
        self._dashboard = dashboard
        self._slow = threading.Semaphore(_SLOW)
        self._first = {route.parts[0] for route in routes} - {"api"}

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        segments = environ.get(SEGMENTS)
        if segments is None:
            segments = environ["PATH_INFO"].encode("latin-1").decode().removeprefix("/").split("/")
            if segments[0] not in self._first:
                if environ[BELOW]:
                    return _NO_DASHBOARD.send(environ, start_response)
                return self._dashboard(environ, start_response)
        try:
            route, words = self._find(environ["REQUEST_METHOD"], segments)
            answer = self._answer(route, words, environ)
            return _send(route, answer, environ, start_response)
        except Refusal as refusal:
            reply = refusal.reply
        except CvfpOptError as error:
            reply = problem_of(error)
        return reply.send(environ, start_response)

    def _find(self, method: str, segments: list[str]) -> tuple[Route, dict[str, str]]:
        found = [
            (route, words)
            for route in self._routes
            if (words := route.matches(segments)) is not None
        ]
        if not found:
            raise refuse(HTTPStatus.NOT_FOUND, "there is nothing at this address")
        for route, words in found:
            if method == route.method or (method == "HEAD" and route.method == "GET"):
                return route, words
        allowed = ", ".join(_methods(route for route, _ in found))
        raise refuse(
            HTTPStatus.METHOD_NOT_ALLOWED,
            f"there is no such method here; there is {allowed}",
            ("Allow", allowed),
        )

    def _answer(self, route: Route, words: dict[str, str], environ: "WSGIEnvironment") -> Answer:
        rights: Rights = environ[RIGHTS]
        _check_rights(route, words, rights)
        call = Call(
            desk=self._desk,
            rights=rights,
            words=words,
            query=read_query(environ.get("QUERY_STRING", ""), route.query),
            **_sent(route, environ),
            version=read_version(environ) if route.changes else None,
            target=environ["SCRIPT_NAME"] + environ["PATH_INFO"],
        )
        with translated(self._desk.location):
            if route.scope is not None:  # anybody is told no more than whether
                self._desk.store.check()  # or what is open is not what has this name now
            if not route.slow:
                return route.answer(call)
            if not self._slow.acquire(blocking=False):
                raise refuse(
                    HTTPStatus.SERVICE_UNAVAILABLE,
                    f"{_SLOW} requests that take long are being answered; ask again in a second",
                    ("Retry-After", "1"),
                )
            try:
                return route.answer(call)
            finally:
                self._slow.release()


def problem_of(error: CvfpOptError) -> Reply:
    """Make the answer that says an error of the library."""
    status = next(status for kind, status in STATUSES if isinstance(error, kind))
    headers = [("Retry-After", "5")] if status is HTTPStatus.SERVICE_UNAVAILABLE else []
    text = str(error)
    if len(text) > _LONGEST_SENTENCE:  # it repeats what was sent
        text = f"{text[:_LONGEST_SENTENCE]} ..."
    return Reply(status=status, text=text, error=type(error).__name__, headers=headers)


def _methods(routes: Iterable[Route]) -> list[str]:
    methods = [route.method for route in routes]
    return [*methods, "HEAD"] if "GET" in methods else methods


def _check_rights(route: Route, words: dict[str, str], rights: Rights) -> None:
    """Refuse what whoever asks may not do. Raises Refusal."""
    if route.scope is None:
        return
    if not rights.may(route.scope):
        raise Refusal(refuse_scope(route.scope))
    if "name" in words:
        require_covered(rights, words["name"])
    if route.everything and rights.studies:
        text = f"the token is for studies whose names begin with {rights.studies!r}; this is about"
        raise refuse(HTTPStatus.FORBIDDEN, f"{text} all")


def _sent(route: Route, environ: "WSGIEnvironment") -> dict[str, Any]:
    """Read what was sent: JSON, or a form of our own pages."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if length > MAX_BODY:
        raise refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MAX_BODY} bytes are taken")
    content: bytes = environ["wsgi.input"].read(length) if length else b""
    if route.form:
        return {"form": dict(parse_qsl(content.decode("utf-8", "replace")))}
    if route.body is not None:
        return {"body": read_json(content, environ.get("CONTENT_TYPE", ""), route.body)}
    return {}


def _send(
    route: Route, answer: Answer, environ: "WSGIEnvironment", start_response: Callable[..., Any]
) -> Iterable[bytes]:
    headers, body = list(answer.headers), answer.content
    if body is None and answer.status is not HTTPStatus.NO_CONTENT:
        body = f"{json_text(answer.value)}\n".encode()
    status, reading = answer.status, route.method == "GET"
    if body is not None:
        headers.append(("Content-Type", route.media or JSON))
    if reading and body is not None:
        tag = hashlib.sha256(body).hexdigest()[:16]
        tag = f'"{tag}"' if answer.version is None else f'"{answer.version}-{tag}"'
        headers.append(("ETag", tag))
        if _knows(environ.get("HTTP_IF_NONE_MATCH", ""), tag):
            status, body = HTTPStatus.NOT_MODIFIED, None
            headers = [pair for pair in headers if pair[0] != "Content-Type"]
    elif answer.version is not None:
        headers.append(("ETag", f'"{answer.version}"'))
    if body is not None:
        headers.append(("Content-Length", str(len(body))))
    start_response(
        f"{status.value} {status.phrase}",
        own(headers, policy=answer.policy or STRICT, store=reading),
    )
    if body is None or environ["REQUEST_METHOD"] == "HEAD":
        return []
    # as a file, or the server would write what is large to one
    return environ["wsgi.file_wrapper"](io.BytesIO(body)) if len(body) > _LARGE else [body]


def _knows(header: str, tag: str) -> bool:
    """Check whether an ``If-None-Match`` names a tag; a proxy that packs answers weakens it."""
    names = [one.strip().removeprefix("W/") for one in header.split(",")]
    return tag in names or "*" in names
