"""The headers that keep a browser from helping an attacker: the strictest, but for pages."""

import re
from collections.abc import Iterable

# For what anybody could have put there: it is saved and not shown, and runs nothing.
STRICT = "sandbox; default-src 'none'; frame-ancestors 'none'"
# For optuna-dashboard's pages: its plots need eval, its styles are inline. No frames and no
# forms: a note of somebody else could have them, and the dashboard sends none.
_PAGE = (
    "default-src 'self'; script-src 'self' 'unsafe-eval'; style-src 'self' data: 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; font-src 'self' data:; frame-src 'none'; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
OWN_PAGE = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
# For a report, which is a page with scripts of its own: it runs as if it came from nowhere,
# without our cookie, and can ask nobody for anything.
REPORT = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
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
# Types of an answer that a page may show: no script and no style sheet among them.
_SHOWN = re.compile(
    r"(image|audio|video)/[a-z0-9.+-]+|text/(csv|plain)|application/(json|pdf)", re.ASCII
)
_UNKNOWN = "application/octet-stream"

# A page of optuna-dashboard without script: the database was upgraded while it is served.
_SCHEMA = "/incompatible-rdb-schema"

Headers = list[tuple[str, str]]


def is_page(path: str) -> bool:
    """Check whether a path, as ``target.settle`` gives it, is one of the dashboard's pages."""
    return path == "/dashboard" or path.startswith("/dashboard/")


def secured(path: str, status: str, headers: Iterable[tuple[str, str]]) -> Headers:
    """Add to the headers of an answer of the dashboard those that every answer has.

    Args:
        path: as ``target.settle`` gives it.
        status: "200 OK", say.
        headers: the dashboard's own; these replace what is among them.
    """
    kept = [(name, value) for name, value in headers if name.lower() not in _REPLACED]
    if is_page(path):
        return [*kept, *_HEADERS, _policy(_PAGE), _cached(store=False)]
    if path == _SCHEMA:
        return [*kept, *_HEADERS, _policy(OWN_PAGE), _cached(store=False)]
    if _is_static(path):  # the package's own files
        return [*kept, *_HEADERS, _policy(STRICT), _cached(store=True)]
    names = {name.lower() for name, _ in kept}
    kept = [
        (name, media_type(value) if name.lower() == "content-type" else value)
        for name, value in kept
    ]
    if status.startswith("2") and "content-disposition" not in names:
        kept.append(("Content-Disposition", "attachment"))
    return [*kept, *_HEADERS, _policy(STRICT), _cached(store=False)]


def own(
    headers: Iterable[tuple[str, str]], *, policy: str = STRICT, store: bool = False
) -> Headers:
    """Add those headers to an answer of our own.

    Args:
        headers: of the answer.
        policy: of its content: STRICT for text, OWN_PAGE for a page without script, REPORT.
        store: whether it may be kept, to be asked for again with its ETag.
    """
    return [*headers, *_HEADERS, _policy(policy), _cached(store=store)]


def _is_static(path: str) -> bool:
    return path.startswith("/static/") or path == "/favicon.ico"


def media_type(value: object) -> str:
    """Choose the type to send for one that anybody named: theirs, where a page only shows it."""
    kind = str(value).partition(";")[0].strip().lower()
    if not _SHOWN.fullmatch(kind):
        return _UNKNOWN
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def _policy(policy: str) -> tuple[str, str]:
    return "Content-Security-Policy", policy


def _cached(*, store: bool) -> tuple[str, str]:
    return "Cache-Control", "no-cache" if store else "no-store"
