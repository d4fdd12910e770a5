"""Text from elsewhere (names of studies, parameters, paths, errors of servers), by medium.

A study's name can be a whole program, and whoever shares a database can choose it. Each medium
has its own characters that are more than text: one function each. For HTML and Markdown
``report.page.render`` and ``report.card.escaped`` do it.
"""

import re
import shlex
import unicodedata
from collections.abc import Iterable, Sequence

# Control characters, halves of surrogate pairs, line separators, and what turns the reading
# direction or takes no place: all that makes a terminal show something else than the text.
_UNSHOWN = frozenset({"Cc", "Cs", "Cf", "Zl", "Zp"})
# These two join letters in several scripts, and emoji.
_JOINERS = "\u200c\u200d"
# A spreadsheet takes a cell that begins so for a formula.
_FORMULA = re.compile(r"[=+\-@\t\r\n]")
_VERSION = re.compile(r"\d{1,5}(\.\d{1,5}){0,3}((a|b|rc|\.post|\.dev)\d{1,5}){0,3}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf|nan", re.ASCII)

LONGEST_NAME, _MOST_NAMES = 100, 60

HIDDEN = "***"
# What may stand directly before a URL, and the URL's scheme. It is tried where a run of such
# characters begins and nowhere else in it, so that a long run takes no quadratic time.
_SCHEME = r"(?<![\w+.\-])([\d_+.\-]*+)([A-Za-z][\w+.\-]*+)"
# Of two slashes a path keeps one.
_URL = re.compile(_SCHEME + r"(:/(?:/|(?=\S*@)))(\S*)", re.ASCII)
_URL_WORD = re.compile(_SCHEME + r"(:/(?:/|(?=.*@)))(.*)", re.ASCII | re.DOTALL)
_ASSIGNED = re.compile(r"(?i)(passw(?:or)?d|passphrase|secret\w*|\bpwd)(\s*=\s*)('[^']*'|[^\s&]+)")
# Here an "@" is a character of a path.
_PATHS = frozenset({"sqlite", "file"})
# And here it may be one after the host, and what follows "?" is nobody's password.
_PLACES = frozenset({"http", "https", "ws", "wss", "s3", "tcp", "tls", "ucx"})
# Who asks: all before the first "@", or with a password, which is no number of a port, before
# the last one, whatever should have been percent-encoded in it and was not.
_ASKING = re.compile(r"(?!\[)[^/?#@:]*:(?![0-9]+(?:[/?#]|$)).*@|[^/?#]*@", re.DOTALL)
# Of a database's query: what is no secret. All else is hidden, what is unknown included.
HARMLESS = frozenset(
    {"application_name", "charset", "client_encoding", "connect_timeout", "dbname", "database"}
    | {"gssencmode", "host", "hostaddr", "keepalives", "load_balance_hosts", "options", "port"}
    | {"read_timeout", "requirepeer", "service", "ssl_ca", "ssl_cert", "ssl_key", "ssl_mode"}
    | {"sslcert", "sslkey", "sslmode", "sslrootcert", "target_session_attrs", "unix_socket"}
    | {"user", "write_timeout"}
)


def printable(text: object, *, keep: str = "") -> str:
    """Write text for a terminal or a log: what is not shown as itself as an escape (``\\x1b``).

    Args:
        text: from elsewhere.
        keep: characters to leave as they are: a line feed, where lines are meant.
    """
    return "".join(
        one if one in keep or _is_shown(one) else one.encode("unicode_escape").decode("ascii")
        for one in str(text)
    )


def toml_escaped(document: str) -> str:
    """Write TOML with what a terminal does not show as itself as an escape: it means the same.

    Args:
        document: has such characters in basic strings alone, and in them no line feeds.
    """
    return "".join(
        one if one == "\n" or _is_shown(one) else f"\\U{ord(one):08x}" for one in document
    )


def quoted(text: object) -> str:
    """Write text as one word of a shell command that somebody will copy into a terminal.

    Plain names stay as they are; what a terminal cannot show is written in bash's ``$'…'``.
    """
    word = str(text)
    if all(map(_is_shown, word)):
        return shlex.quote(word)
    # surrogates that stand for bytes that are no UTF-8 become those bytes again
    raw = word.encode("utf-8", "surrogateescape" if _only_bytes(word) else "replace")
    return "$'" + "".join(map(_ansi_c, raw)) + "'"


def release_of(version: object) -> str:
    """A version, if it is no more than one: to be put into ``pip install NAME==VERSION``; else "".

    Only releases, pre-releases and the like; what follows a ``+`` is of one machine.
    """
    return version if isinstance(version, str) and _VERSION.fullmatch(version) else ""


def first_few(names: Iterable[object], *, most: int = 4) -> str:
    """Write names for a message, and of many the first: ``a, b and 140 more``."""
    words = [printable(name) for name in names]
    shown = ", ".join(words[:most])
    return f"{shown} and {len(words) - most} more" if len(words) > most else shown


def listed(names: Iterable[object]) -> str:
    """Write names to choose from: all, unless they are more or longer than any of ours."""
    return first_few((excerpt(name, LONGEST_NAME) for name in names), most=_MOST_NAMES)


def positional(text: object) -> str:
    """Write text as the last argument of a shell command; ``--`` before what looks like an option.

    No option may follow.
    """
    return f"{'-- ' if str(text).startswith('-') else ''}{quoted(text)}"


def excerpt(text: object, at_most: int = 200) -> str:
    """Write a text of any length for a message: on one line, its beginning and its end."""
    whole = str(text)
    if len(whole) > at_most:
        whole = f"{whole[: at_most * 2 // 3]} ... {whole[-at_most // 3 :]}"
    return printable(" ".join(whole.split()))


def csv_cell(value: object) -> object:
    """Write a cell so that no spreadsheet takes text for a formula; numbers stay numbers."""
    if not isinstance(value, str) or not _FORMULA.match(value) or _NUMBER.fullmatch(value):
        return value
    return f"'{value}"


def redacted(text: object, *, word: bool = False, words: Sequence[str] = ()) -> str:
    """Write text without the passwords of the URLs in it, however they were typed.

    A password may stand before an "@", where it should have been percent-encoded and was not; in
    a query; or beside its name, as in ``password=...``.

    Args:
        text: from a user, a driver, a server.
        word: all of it is one word of a command line, blanks in a password included.
        words: of the command line, which the text may repeat.
    """
    told = str(text)
    for typed in words:
        if "://" in typed:
            hidden = redacted(typed, word=True)
            told = told.replace(typed, hidden)
            # some repeat it without what it begins with
            told = told.replace(typed.partition("://")[2] or typed, hidden.partition("://")[2])
    return _ASSIGNED.sub(_assigned, (_URL_WORD if word else _URL).sub(_url, told))


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


def _is_shown(character: str) -> bool:
    return character in _JOINERS or unicodedata.category(character) not in _UNSHOWN


def _only_bytes(word: str) -> bool:
    surrogates = [one for one in word if unicodedata.category(one) == "Cs"]
    return all("\udc80" <= one <= "\udcff" for one in surrogates)


def _ansi_c(byte: int) -> str:
    character = chr(byte)
    if character in "'\\":
        return f"\\{character}"
    return character if " " <= character <= "~" else f"\\x{byte:02x}"
