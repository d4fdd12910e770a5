"""Take the passwords out of text that names databases, stores and servers by their URLs."""

import re
from collections.abc import Sequence

HIDDEN = "***"
# Characters that may stand directly before a URL, and its scheme. The pattern is tried where a run
# of such characters begins and nowhere else in it, so that a long run takes no quadratic time.
_SCHEME = r"(?<![\w+.\-])([\d_+.\-]*+)([A-Za-z][\w+.\-]*+)"
# A URL; normalised as a path it keeps one of its two slashes.
_URL = re.compile(_SCHEME + r"(:/(?:/|(?=\S*@)))(\S*)", re.ASCII)
_URL_WORD = re.compile(_SCHEME + r"(:/(?:/|(?=.*@)))(.*)", re.ASCII | re.DOTALL)
_ASSIGNED = re.compile(r"(?i)(passw(?:or)?d|passphrase|secret\w*|\bpwd)(\s*=\s*)('[^']*'|[^\s&]+)")
# Schemes in which an "@" is a character of a path.
_PATHS = frozenset({"sqlite", "file"})
# Schemes in which it may be one after the host, and where "?" is followed by no password.
_PLACES = frozenset({"http", "https", "ws", "wss", "s3", "tcp", "tls", "ucx"})
# The user: all before the first "@"; with a password (which is no port) all before the last
# "@", for what should have been percent-encoded in it may not have been.
_ASKING = re.compile(r"(?!\[)[^/?#@:]*:(?![0-9]+(?:[/?#]|$)).*@|[^/?#]*@", re.DOTALL)
# Keys of a database URL's query that are no secret. All others are hidden, unknown ones too.
HARMLESS = frozenset(
    {"application_name", "charset", "client_encoding", "connect_timeout", "dbname", "database"}
    | {"gssencmode", "host", "hostaddr", "keepalives", "load_balance_hosts", "options", "port"}
    | {"read_timeout", "requirepeer", "service", "ssl_ca", "ssl_cert", "ssl_key", "ssl_mode"}
    | {"sslcert", "sslkey", "sslmode", "sslrootcert", "target_session_attrs", "unix_socket"}
    | {"user", "write_timeout"}
)


def redacted(text: object, *, word: bool = False, words: Sequence[str] = ()) -> str:
    """Write text without the passwords of the URLs in it, however they were typed.

    A password may stand before an "@", where it should have been percent-encoded and was not; in
    a query; or beside its name, as in ``password=...``.

    Args:
        text: from a user, a driver, a server.
        word: all of it is one word of a command line, blanks in a password included.
        words: of the command line, which the text may repeat.
    """
    shown = str(text)
    for typed in words:
        if "://" in typed:
            hidden = redacted(typed, word=True)
            shown = shown.replace(typed, hidden)
            # some repeat it without what it begins with
            shown = shown.replace(typed.partition("://")[2] or typed, hidden.partition("://")[2])
    return _ASSIGNED.sub(_assigned, (_URL_WORD if word else _URL).sub(_url, shown))


def _assigned(found: "re.Match[str]") -> str:
    return f"{found[1]}{found[2]}{HIDDEN}"


def _url(found: "re.Match[str]") -> str:
    prefix, name, slashes, rest = found.groups()
    scheme = f"{prefix}{name}{slashes}"
    kind = name.partition("+")[0].lower()
    if kind in _PATHS:
        return found[0]
    if kind in _PLACES:
        asking = _ASKING.match(rest)
        return f"{scheme}{HIDDEN}@{rest[asking.end() :]}" if asking else found[0]
    before, at, place = rest.rpartition("@")  # the last one: a raw "@" is part of a password
    user, colon, _ = before.partition(":")
    if at and "?" in before:  # of a password, or the "@" is the query's: not to be told apart
        return f"{scheme}{user.partition('?')[0]}{':' if colon else '?'}{HIDDEN}"
    if at and colon:
        rest = f"{user}:{HIDDEN}@{place}"
    where, question, query = rest.partition("?")
    pairs = "&".join(map(_pair, query.split("&")))
    return f"{scheme}{where}{question}{pairs}"


def _pair(pair: str) -> str:
    key, equals, _ = pair.partition("=")
    if not pair or (equals and key in HARMLESS):
        return pair
    return f"{key}={HIDDEN}" if equals and key.isidentifier() else HIDDEN
