"""Markdown of the reference pages: tables, sections of docstrings, how the pages are renewed."""

import logging
import re
from collections.abc import Iterable, Sequence

import griffe

MADE = "<!-- Made by `python docs/reference/make.py`: change what it describes, not this page. -->"

# griffe tells of parameters without a type, which stand in the signature.
logging.getLogger("griffe").setLevel(logging.ERROR)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Make a table; columns without any text are left out."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    kept = [i for i in range(len(heads)) if any(row[i] for row in cells)]
    lines = [[heads[i] for i in kept], *([row[i] for i in kept] for row in cells)]
    written = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([written[0], f"|{'---|' * len(kept)}", *written[1:]])


def code(text: str) -> str:
    """Set a text as code."""
    return f"`{text}`" if text else ""


def sentence(text: str) -> str:
    """Begin with a capital letter, and end with a full stop."""
    text = " ".join(text.split())
    return f"{text[:1].upper()}{text[1:]}".removesuffix(".") + "." if text else ""


def inline(text: str) -> str:
    """Turn a docstring's marks of code into Markdown's."""
    return re.sub(r"``([^`]+)``", r"`\1`", text)


def parsed(docstring: str) -> list[griffe.DocstringSection]:
    """Cut a docstring of Google's style into its sections."""
    return griffe.Docstring(docstring).parse("google")


def attributes(docstring: str) -> dict[str, str]:
    """Read what the ``Attributes:`` of a class's docstring say, by name, each in one line."""
    found = {}
    for section in parsed(docstring):
        if section.kind is griffe.DocstringSectionKind.attributes:
            for item in section.value:
                for name in item.name.split(", "):
                    found[name] = inline(" ".join(item.description.split()))
    return found


def prose(docstring: str) -> str:
    """Give what a docstring says before its sections, paragraphs apart."""
    texts = [s.value for s in parsed(docstring) if s.kind is griffe.DocstringSectionKind.text]
    return inline("\n\n".join(texts))


def first_line(docstring: str | None) -> str:
    """Give the first sentence of a docstring."""
    return inline((docstring or "").strip().partition("\n")[0])
