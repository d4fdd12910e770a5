"""Commands under odd terminals."""

import os
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from processes import fork_python

# A command that takes longer hangs; beside other work a quick one can take some seconds.
SECONDS = 60
TARGETS = ("file", "closed", "full", "pipe")
IN_A_REMOVED_FOLDER = """
import os
os.mkdir("gone")
os.chdir("gone")
os.rmdir("../gone")
from cvfp_opt.cli import main
main()
"""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A command, and what its standard streams are.

    Attributes:
        words: after ``cvfp-opt``.
        out, err: of TARGETS; "pipe" is one that nobody reads.
        encoding: of both.
        environment: variables of this case.
        gone: whether the current folder is removed first.
    """

    words: list[str]
    out: str = "file"
    err: str = "file"
    encoding: str = "utf-8"
    environment: dict[str, str] | None = None
    gone: bool = False


@dataclass(frozen=True)
class Ended:
    """How a case ended; code -9: it hung, and was killed."""

    code: int
    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        return (self.out + self.err).decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class Terminals:
    """Runs cases in a folder."""

    folder: Path

    def run(self, case: Case) -> Ended:
        start = ["-c", IN_A_REMOVED_FOLDER] if case.gone else ["-m", "cvfp_opt"]
        names = {"PYTHONIOENCODING": case.encoding, "PYTHONUNBUFFERED": ""}
        with ExitStack() as files:
            opened = [files.enter_context(open(os.memfd_create(n), "w+b")) for n in ("out", "err")]
            null = files.enter_context(open(os.devnull, "rb"))
            targets = zip((case.out, case.err), opened, strict=True)
            process = fork_python(
                *start,
                *case.words,
                cwd=self.folder,
                environment=os.environ | names | (case.environment or {}),
                streams=[null.fileno(), *(_open(*target, files) for target in targets)],
            )
            try:
                process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            code = process.wait()
            for file in opened:
                file.seek(0)
            return Ended(code, *(file.read() for file in opened))


def _open(target: str, file: BinaryIO, files: ExitStack) -> int | None:
    if target == "closed":
        return None
    if target == "full":
        return files.enter_context(open("/dev/full", "wb")).fileno()
    if target == "pipe":
        reader, writer = os.pipe()
        os.close(reader)
        return files.enter_context(open(writer, "wb")).fileno()
    return file.fileno()
