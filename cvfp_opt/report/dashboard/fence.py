"""The fence around optuna-dashboard: what may be asked of it, and the headers of its answers."""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from cvfp_opt.report.dashboard.gate import READING, RIGHTS, refuse_scope
from cvfp_opt.report.dashboard.replies import Reply
from cvfp_opt.report.dashboard.security_headers import secured
from cvfp_opt.store.record.tokens import Rights, Scope

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CHANGING = ("POST", "PUT", "DELETE")


class Fence:
    """The WSGI application that holds the dashboard's.

    It shows all studies, and may change anything in them: so whoever sees but some has no use for
    it, and changes require the scope ``admin``.

    Args:
        app: the dashboard.
        home: the path that ``/`` leads to.
        read_only: whether nothing may be changed.
        forget: told the ids of studies that were deleted, see ``Fence.forget``.

    Attributes:
        forget: drops what the dashboard keeps of studies; to be called with the ids of those that
            are deleted: the next ones may have the same.
    """

    def __init__(
        self,
        app: "WSGIApplication",
        *,
        home: str,
        read_only: bool,
        forget: Callable[[Iterable[int]], None] = lambda study_ids: None,
    ) -> None:
        self._app = app
        self.forget = forget
        self._home = home
        self._read_only = read_only

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        path = path.encode("latin-1").decode()
        answer = self._answer(environ[RIGHTS], method, path)
        if answer is not None:
            return answer.send(environ, start_response)
        _complete(environ, method)

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            return start_response(status, secured(path, status, headers), exc_info)

        return self._app(environ, start)

    def _answer(self, rights: Rights, method: str, path: str) -> Reply | None:
        if rights.studies:
            text = f"a token for studies {rights.studies}... does not open the dashboard of all"
            return Reply(status=HTTPStatus.FORBIDDEN, text=text)
        if not rights.may(Scope.READ):
            return refuse_scope(Scope.READ)
        refusal = self._wrong_method(method)
        if refusal is not None:
            return refusal
        if method in CHANGING and not rights.may(Scope.ADMIN):
            return refuse_scope(Scope.ADMIN)
        if path == "/" and method in ("GET", "HEAD"):
            return Reply(status=HTTPStatus.FOUND, headers=[("Location", self._home)])
        return None

    def _wrong_method(self, method: str) -> Reply | None:
        allowed = READING if self._read_only else READING + CHANGING
        if method in allowed:
            return None
        return Reply(
            status=HTTPStatus.METHOD_NOT_ALLOWED,
            text="the dashboard was started with --read-only: nothing can be changed here"
            if method in CHANGING
            else "there is no such method here",
            headers=[("Allow", ", ".join(allowed))],
        )


def _complete(environ: "WSGIEnvironment", method: str) -> None:
    """Leave out what the dashboard would stumble over, and put in what it asks for."""
    takes_gzip = "gzip" in environ.get("HTTP_ACCEPT_ENCODING", "")
    environ["HTTP_ACCEPT_ENCODING"] = "gzip" if takes_gzip else ""
    environ.pop("HTTP_RANGE", None)  # its files are small
    if method in READING:  # else it looks for a form in the body
        environ.pop("CONTENT_TYPE", None)
