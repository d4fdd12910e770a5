"""Whoever types a page's blocks, and compares what is printed with what the page shows."""

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

from pages import Block, blocks
from support import REPOSITORY, Outcome

# What sets a checkout up: done before any test runs.
_SET_UP = ("pip", "pytest", "pre-commit")


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
