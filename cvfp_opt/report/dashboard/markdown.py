"""Text for a note, in which nothing is Markdown or HTML but what is meant to be."""

import re

_MARKS = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$:@])")


def plain(text: object) -> str:
    """Any text, on one line, shown as it is: study names and errors are anybody's."""
    words = " ".join(str(text).split())
    for character, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        words = words.replace(character, name)
    return _MARKS.sub(r"\\\1", words)


def code(text: str, language: str) -> list[str]:
    """A block of text as it is, a line each: its fence is longer than any that it holds."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}{language}", *text.split("\n"), fence]


def table(rows: list[tuple[str, str]]) -> list[str]:
    """Two columns without a heading, a line each."""
    lines = ["| | |", "|---|---|"]
    return lines + [f"| {plain(label)} | {plain(text)} |" for label, text in rows]
