"""The address of a request, read once: the gate and the dashboard never read it differently."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from cvfp_opt.errors import ServerError
from cvfp_opt.escaping import printable

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_ABSOLUTE = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
# An encoded slash or backslash: whoever decodes before splitting sees other segments than we do.
_ENCODED_SEPARATOR = re.compile(r"%2f|%5c", re.IGNORECASE)


_BASE = re.compile(r"(?:/[0-9A-Za-z_-]+)+")


class BadTarget(ValueError):
    """A request's address that can be read in two ways; its text is the answer."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where things are below a server.

    Attributes:
        base: the path that a proxy has put before all others, as "/cvfp"; "" for none. Paths are
            taken with it and without: a probe on the same machine does not come by the proxy.
        segmented: beginnings of paths whose parts may be any text, the names of studies for one.
    """

    base: str = ""
    segmented: tuple[str, ...] = ()


ANYWHERE = Places()
# In ``environ``: the parts of a path that may be any text.
SEGMENTS = "cvfp_opt.segments"
# Likewise: whether it was sent with the path that a proxy has put before it.
BELOW = "cvfp_opt.below"


def base_path(text: str) -> str:
    """Read the path that a proxy has put before all others; "" for none.

    Raises:
        ServerError: it is none.
    """
    path = text.removesuffix("/")
    if path and not _BASE.fullmatch(path):
        raise ServerError(
            f"--base-path {text}: a path is required that begins with a slash and has letters, "
            "digits, - and _ between its slashes, as /cvfp"
        )
    return path


def settle(environ: "WSGIEnvironment", places: Places = ANYWHERE) -> str:
    """Decode the path of a request, once, and put it into ``environ`` for all who ask later.

    Bottle drops what is no UTF-8 and slashes at the end, waitress slashes at the beginning, and
    browsers and proxies have ways of their own with dots and backslashes. So only a path that all
    of them read alike is taken; but below a segmented one, where it is cut at its slashes first
    and each part is decoded by itself.

    Args:
        environ: of the request.
        places: what is where.

    Returns:
        The path, without a slash at its end; ``/`` for none; a segmented one as it was sent.

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
    _decoded(query, "query")
    environ[BELOW] = bool(places.base) and f"{encoded}/".startswith(f"{places.base}/")
    if environ[BELOW]:
        encoded = encoded.removeprefix(places.base)
    environ["SCRIPT_NAME"] = places.base
    if encoded.startswith(places.segmented):
        environ[SEGMENTS] = _segments(encoded)
        path = printable(encoded)
    else:
        path = _plain_path(encoded or "/")
    environ["PATH_INFO"] = path.encode().decode("latin-1")
    return path


def _plain_path(encoded: str) -> str:
    path = _decoded(encoded, "path")
    segments = path.split("/")
    if segments[0] or _ENCODED_SEPARATOR.search(encoded) or "\\" in path or "%" in path:
        raise BadTarget("the path must begin with a slash, and have none encoded, no \\, no %25")
    if "" in segments[1:-1] or "." in segments or ".." in segments:
        raise BadTarget("the path must not have // or segments of dots")
    return path.rstrip("/") or "/"


def _segments(encoded: str) -> list[str]:
    """Cut a path at its slashes, then decode each part: a name may have slashes of its own."""
    parts = encoded.removeprefix("/").removesuffix("/").split("/")
    try:
        found = [unquote_to_bytes(part.encode("latin-1")).decode() for part in parts]
    except UnicodeDecodeError:
        raise BadTarget("the path is not UTF-8") from None
    if "" in found or "." in found or ".." in found:
        raise BadTarget("the path must not have // or segments of dots")
    return found


def _decoded(encoded: str, what: str) -> str:
    try:
        text = unquote_to_bytes(encoded.encode("latin-1")).decode()
    except UnicodeDecodeError:
        raise BadTarget(f"the {what} is not UTF-8") from None
    if printable(text, keep="\n\r\t" if what == "query" else "") != text:
        raise BadTarget(f"the {what} has characters that cannot be shown")
    return text
