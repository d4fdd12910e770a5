"""optuna-dashboard's page with a few rules of style: long values and narrow screens."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Seen with 0.21: one attribute of a trial made its page 8900 pixels wide, note included; two
# columns of figures made a telephone's page twice as wide as its screen. A button is as wide as
# its words: with the second rule alone it broke COMPARE.
RULES = b"""<style>
main { min-width: 0 }
main * { overflow-wrap: anywhere }
main button, main button * { overflow-wrap: normal; white-space: nowrap }
main img { max-width: 100% }
main :is(th, td), main div:has(> ul.MuiList-root) * { overflow-wrap: break-word }
@media (max-width: 600px) {
  main [class*="MuiGrid-grid-xs-"] { flex-basis: 100%; max-width: 100% }
  main div:has(> div > ul.MuiList-root) { flex-direction: column; height: auto }
  main div:has(> ul.MuiList-root) { width: 100%; max-height: 30vh }
}
</style>
"""
_BEFORE = b"</head>"


class Styled:
    """The WSGI application with RULES on its page; all else as it is."""

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if environ["REQUEST_METHOD"] != "GET" or not path.startswith("/dashboard"):
            return self._app(environ, start_response)
        begun: list[tuple[str, list[tuple[str, str]]]] = []

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            begun[:] = [(status, headers)]
            return lambda data: None  # nobody writes so any more

        answer = self._app(environ, start)
        body = b"".join(answer)
        if close := getattr(answer, "close", None):
            close()
        body = body.replace(_BEFORE, RULES + _BEFORE, 1)
        status, headers = begun[0]
        kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
        start_response(status, [*kept, ("Content-Length", str(len(body)))])
        return [body]
