"""The pages: their blocks, what is said of these, and their links.

A comment before a block, which a reader does not see, says what is special about it:

    <!-- not run: REASON -->            its commands are only checked by the parser
    <!-- exit 0 or 1: REASON -->        either exit code is right, of each of its commands
    <!-- typed before: COMMAND -->      what the page takes for granted; a command a line
    <!-- saved as: FILE -->             it is written to a file, after what is there
    <!-- printed -->                    what the block before it prints
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import click
from support import REPOSITORY

from cvfp_opt.cli import cli

PAGES = [
    "README.md",
    "SECURITY.md",
    *sorted(f"docs/{page.name}" for page in (REPOSITORY / "docs").glob("*.md")),
    "docs/deploy/README.md",
]
_MARKS = ("not run", "exit 0 or 1", "typed before", "saved as", "printed")
_COMMENT = re.compile(rf"<!-- ({'|'.join(_MARKS)})(?::\s*(.*?))? -->", re.DOTALL)
_BLOCK = re.compile(
    r"^(?P<comments>(?:<!--(?:(?!-->).)*-->\n+)*)"
    r"(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
# A command of ours up to what means something to the shell, or to a comment.
_OURS = re.compile(r"""(?<![^\s(])cvfp-opt (?:'[^']*'|"[^"]*"|[^'"|&;<>#\n]|(?<=\S)#)*""")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str
    marks: dict[str, str]

    @property
    def runs(self) -> bool:
        return "not run" not in self.marks and (
            self.language in ("console", "python", "pycon")
            or "printed" in self.marks
            or "saved as" in self.marks
        )

    @property
    def steps(self) -> list[tuple[str, str | None]]:
        """Its commands, each with what it prints; None where the page does not say."""
        lines = self.text.replace("\\\n", "").splitlines()
        if not self.text.startswith("$ "):
            return [(line, None) for line in lines if line]
        steps: list[tuple[str, str | None]] = []
        for line in lines:
            if line.startswith("$ "):
                steps.append((line[2:], None))
            else:
                command, printed = steps[-1]
                steps[-1] = command, f"{printed or ''}{line}\n"
        return steps


def text_of(page: str | Path) -> str:
    """The text of a page by its path in the repository, or by its whole path."""
    return (REPOSITORY / page).read_text()


def blocks(page: str) -> list[Block]:
    text = text_of(page)
    found = []
    for match in _BLOCK.finditer(text):
        indent = match["indent"]
        found.append(
            Block(
                page=page,
                line=text.count("\n", 0, match.start("language")) + 1,
                language=match["language"],
                text=re.sub(f"^{indent}", "", match["text"], flags=re.MULTILINE),
                marks={mark: said or "" for mark, said in _COMMENT.findall(match["comments"])},
            )
        )
    return found


def commands(line: str) -> list[list[str]]:
    """The words of each command of a line that is ours."""
    return [shlex.split(command) for command in _OURS.findall(line)]


def refused(words: list[str]) -> str:
    """Say what the command line's parser has against the words of a command; "" if nothing."""
    command: click.Command = cli
    rest = words[1:]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        name, *rest = rest
        if name not in command.commands:
            return f"No such command {name!r}"
        command = command.commands[name]
    try:
        command.make_context(" ".join(words), rest)
    except click.exceptions.Exit:  # --help, --version
        return ""
    except click.ClickException as error:
        return error.format_message()
    return ""


def without_blocks(page: str | Path) -> str:
    """The text of a page with empty blocks."""
    return re.sub(
        r"^( *```\w*\n).*?^( *```)$", r"\1\2", text_of(page), flags=re.MULTILINE | re.DOTALL
    )


def anchors(page: str | Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = without_blocks(page)
    found: set[str] = set(re.findall(r'<a (?:id|name)="([^"]+)"', text))
    for heading in re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)|[`*]", r"\1", heading).strip().lower()
        anchor = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = 0
        while (numbered := f"{anchor}-{number}" if number else anchor) in found:
            number += 1
        found.add(numbered)
    return found


def links(page: str) -> list[str]:
    """The targets of a page's links and pictures, but for those on the web."""
    text = re.sub(r"`[^`\n]*`", "", without_blocks(page).replace("```", ""))
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    return [link for link in found if not re.match(r"[a-z]+:", link)]
