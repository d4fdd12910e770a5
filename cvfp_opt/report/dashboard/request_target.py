"""The address of a request, read once: the gate and the dashboard never read it differently."""

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from cvfp_opt.escaping import printable

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_ABSOLUTE = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
# An encoded slash or backslash: whoever decodes before splitting sees other segments than we do.
_ENCODED_SEPARATOR = re.compile(r"%2f|%5c", re.IGNORECASE)


class BadTarget(ValueError):
    """A request's address that can be read in two ways; its text is the answer."""


def settle(environ: "WSGIEnvironment") -> str:
    """Decode the path of a request, once, and put it into ``environ`` for all who ask later.

    Bottle drops what is no UTF-8 and slashes at the end, waitress slashes at the beginning, and
    browsers and proxies have ways of their own with dots and backslashes. So only a path that all
    of them read alike is taken.

    Returns:
        The path, without a slash at its end; ``/`` for none.

    Raises:
        BadTarget: it is not such a path.
    """
    raw = environ["REQUEST_URI"]
    if absolute := _ABSOLUTE.fullmatch(raw):
        if absolute[1].lower() != environ.get("HTTP_HOST", "").lower():
            raise BadTarget("the address names another host than the header Host does")
        raw = absolute[2] or "/"
    if "#" in raw:
        raise BadTarget("an address is sent without what follows #")
    encoded, _, query = raw.partition("?")
    path = _decoded(encoded or "/", "path")
    _decoded(query, "query")
    segments = path.split("/")
    if segments[0] or _ENCODED_SEPARATOR.search(encoded) or "\\" in path or "%" in path:
        raise BadTarget("the path must begin with a slash, and have none encoded, no \\, no %25")
    if "" in segments[1:-1] or "." in segments or ".." in segments:
        raise BadTarget("the path must not have // or segments of dots")
    path = path.rstrip("/") or "/"
    environ["PATH_INFO"] = path.encode().decode("latin-1")
    return path


def _decoded(encoded: str, what: str) -> str:
    try:
        text = unquote_to_bytes(encoded.encode("latin-1")).decode()
    except UnicodeDecodeError:
        raise BadTarget(f"the {what} is not UTF-8") from None
    if printable(text, keep="\n\r\t" if what == "query" else "") != text:
        raise BadTarget(f"the {what} has characters that cannot be shown")
    return text
