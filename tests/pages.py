"""The pages: their blocks, and how each is typed, run and compared; their links.

A comment before a block, which a reader does not see, says what is special about it:

    <!-- not run: REASON -->            its commands are only checked by the parser
    <!-- exit 0 or 1: REASON -->        either exit code is right, of each of its commands
    <!-- typed before: COMMAND -->      what the page takes for granted; a command a line
    <!-- saved as: FILE -->             it is written to a file, after what is there
    <!-- printed -->                    what the block before it prints
"""

import contextlib
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from support import REPOSITORY, Outcome

from cvfp_opt.cli import cli

PAGES = ["README.md", *sorted(f"docs/{page.name}" for page in (REPOSITORY / "docs").glob("*.md"))]
_MARKS = ("not run", "exit 0 or 1", "typed before", "saved as", "printed")
_COMMENT = re.compile(rf"<!-- ({'|'.join(_MARKS)})(?::\s*(.*?))? -->", re.DOTALL)
_BLOCK = re.compile(
    r"^(?P<comments>(?:<!--(?:(?!-->).)*-->\n+)*)"
    r"(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
# A command of ours up to what means something to the shell, or to a comment.
_OURS = re.compile(r"""(?<![^\s(])cvfp-opt (?:'[^']*'|"[^"]*"|[^'"|&;<>#\n]|(?<=\S)#)*""")
# What sets a checkout up: done before any test runs.
_SET_UP = ("pip", "pytest", "pre-commit")


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
    try:
        command: click.Command = cli
        context = cli.make_context(words[0], words[1:])
        while isinstance(command, click.Group):
            rest = [*context._protected_args, *context.args]
            name, found, rest = command.resolve_command(context, rest)
            assert found is not None
            command = found
            context = command.make_context(name, rest, parent=context)
    except click.exceptions.Exit:  # --help, --version
        return ""
    except click.ClickException as error:
        return error.format_message()
    return ""


@dataclass
class Typist:
    """Whoever types a page's blocks, one after the other, in one folder."""

    invoke: Callable[..., Outcome]
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})
    printed: str = ""

    def type_page(self, page: str) -> None:
        for block in blocks(page):
            if block.runs:
                self.type_block(block)

    def type_block(self, block: Block) -> None:
        where = f"{block.page}, line {block.line}"
        allowed = {0, 1} if "exit 0 or 1" in block.marks else {0}
        for line in block.marks.get("typed before", "").splitlines():
            self._type(line.strip(), where, {0})
        if "printed" in block.marks:
            assert fits(block.text, self.printed), f"{where}: it prints\n{self.printed}"
        elif "saved as" in block.marks:
            with open(block.marks["saved as"], "a") as file:
                file.write(block.text)
        elif block.language == "python":
            self._run(block)
        elif block.language == "pycon":
            self._compare(block)
        else:
            for line, printed in block.steps:
                self._type(line, where, allowed)
                if printed is not None:
                    assert fits(printed, self.printed), f"{where}: {line}\n{self.printed}"

    def _compare(self, block: Block) -> None:
        options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=options)
        test = parser.get_doctest(block.text, self.names, block.page, block.page, block.line)
        said: list[str] = []
        runner.run(test, out=said.append, clear_globs=False)
        assert runner.failures == 0, "".join(said)
        self.names |= test.globs

    def _run(self, block: Block) -> None:
        padding = "\n" * block.line  # so that a traceback names the page's line
        code = compile(padding + block.text, str(REPOSITORY / block.page), "exec")
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(code, self.names)
        self.printed = out.getvalue()

    def _type(self, line: str, where: str, allowed: set[int]) -> None:
        for part in line.split(" && "):
            if part.split()[0] in _SET_UP:
                continue
            outcome = self._ours(part) if part.startswith("cvfp-opt") else _shell(part)
            assert outcome.code in allowed, f"{where}: {part}\n{outcome.out}{outcome.err}"
            assert "Error" not in outcome.err, f"{where}: {part}\n{outcome.err}"
            self.printed = outcome.out + outcome.err

    def _ours(self, line: str) -> Outcome:
        words = shlex.split(re.sub(r"\s#\s.*", "", line))
        forget_modules()  # each command is a process of its own elsewhere
        target = None
        if ">" in words:
            target = words[words.index(">") + 1]
            words = words[: words.index(">")]
        outcome = self.invoke(*words[1:])
        if target is not None:
            Path(target).write_text(outcome.out)
        return outcome


def forget_modules() -> None:
    """Forget the modules that were imported from the current folder."""
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(f"{Path.cwd()}{os.sep}"):
            del sys.modules[name]


def _shell(line: str) -> Outcome:
    """Let a shell run what is no command of ours."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", line],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PATH": path},
    )
    return Outcome(code=done.returncode, out=done.stdout, err=done.stderr)


def fits(shown: str, printed: str) -> bool:
    """Compare what a page shows with what was printed; ``...`` stands for anything in a line.

    A line of ``...`` alone stands for any number of lines.
    """
    pattern = "".join(
        r"(?:.*\n)*"
        if line.strip() == "..."
        else ".*".join(map(_spaced, line.split("..."))) + r" *\n"
        for line in shown.splitlines()
    )
    lines = "".join(f"{line}\n" for line in printed.splitlines())
    return re.fullmatch(pattern, lines) is not None


def _spaced(text: str) -> str:
    """Make a pattern of a text, in which columns may be wider or narrower."""
    return r" +".join(map(re.escape, re.split(" +", text)))


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
