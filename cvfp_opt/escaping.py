"""Make text fit for where it is shown: terminals, shells, spreadsheets, TOML, Markdown.

Names of studies and parameters, paths, errors of servers are anybody's: a study's name can be a
whole program. Each medium has its own characters that are more than text: a function for each.
Pages are escaped by their templates.
"""

import re
import shlex
import unicodedata
from collections.abc import Iterable
from html import escape

# Categories of characters that make a terminal show something else than the text: controls,
# surrogates, line separators, and what turns the reading direction or takes no place.
_UNSHOWN = frozenset({"Cc", "Cs", "Cf", "Zl", "Zp"})
# Characters that join letters in several scripts, and emoji: they are shown.
_JOINERS = "\u200c\u200d"
# Marks of Markdown: those that count anywhere, and all.
_MARKS = re.compile(r"([\\`*_\[\]|#!~$])")
_ALL_MARKS = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$:@])")
# Beginnings of a cell that a spreadsheet takes for a formula.
_FORMULA = re.compile(r"[=+\-@\t\r\n]")
_VERSION = re.compile(r"\d{1,5}(\.\d{1,5}){0,3}((a|b|rc|\.post|\.dev)\d{1,5}){0,3}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf|nan", re.ASCII)

LONGEST_NAME, _MOST_NAMES = 100, 60


def printable(text: object, *, keep: str = "") -> str:
    """Write text for a terminal or a log: what is not shown as itself as an escape (``\\x1b``).

    Args:
        text: from elsewhere.
        keep: characters to leave as they are: a line feed, where lines are meant.
    """
    words = str(text)
    if words.isascii() and words.isprintable():  # as 200 000 pieces of a table are
        return words
    return "".join(
        one if one in keep or _is_shown(one) else one.encode("unicode_escape").decode("ascii")
        for one in words
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
    """Return a version if it is one, to be put into ``pip install NAME==VERSION``; else "".

    Only releases, pre-releases and the like; what follows a ``+`` is of one machine.
    """
    return version if isinstance(version, str) and _VERSION.fullmatch(version) else ""


def listed(names: Iterable[object], *, most: int = 4, longest: int | None = None) -> str:
    """Write names for a message, and of many the first: ``a, b and 140 more``.

    Args:
        names: from elsewhere.
        most: how many to write.
        longest: characters of a name, of which more are left out; None: all are written.
    """
    words = [printable(name) if longest is None else excerpt(name, longest) for name in names]
    shown = ", ".join(words[:most])
    return f"{shown} and {len(words) - most} more" if len(words) > most else shown


def choices(names: Iterable[object]) -> str:
    """Write names to choose from: all, unless they are more or longer than any of ours."""
    return listed(names, most=_MOST_NAMES, longest=LONGEST_NAME)


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


def markdown(text: object, *, readable: bool = False) -> str:
    """Write text, on one line, so that Markdown and the HTML in it show it as it is.

    Args:
        text: from elsewhere.
        readable: leave the marks that mean something at the beginning of a line alone, or in
            what a lenient renderer takes for an address: for files that are read raw as well.
    """
    line = escape(" ".join(str(text).split()), quote=False)
    return (_MARKS if readable else _ALL_MARKS).sub(r"\\\1", line)


def markdown_block(text: str, language: str) -> list[str]:
    """Write a block of code, a line each: its fence is longer than any that it holds."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}{language}", *text.split("\n"), fence]


def csv_cell(value: object) -> object:
    """Write a cell so that no spreadsheet takes text for a formula; numbers stay numbers."""
    if not isinstance(value, str) or not _FORMULA.match(value) or _NUMBER.fullmatch(value):
        return value
    return f"'{value}"


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
