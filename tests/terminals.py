"""Commands under odd terminals: a process that has imported everything is forked for each.

Run as a program, this file is that process: one JSON case a line in, one outcome a line out.
"""

import io
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# A command that takes longer hangs; beside other work a quick one can take some seconds.
SECONDS = 60
TARGETS = ("file", "closed", "full", "pipe")
TESTS = Path(__file__).parent


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


class Terminals:
    """The line to the process that forks, and where its commands run."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        self._process = process
        self.folder = folder

    def run(self, case: Case) -> Ended:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(case)) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process that forks has ended"
        code, out, err = json.loads(line)
        return Ended(code, bytes.fromhex(out), bytes.fromhex(err))


@contextmanager
def terminals(folder: Path) -> Iterator[Terminals]:
    """A process that forks in ``folder``, which is where its commands run."""
    with subprocess.Popen(
        [sys.executable, str(Path(__file__))],
        cwd=folder,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    ) as process:
        yield Terminals(process, folder)
        assert process.stdin is not None
        process.stdin.close()


def _serve() -> None:
    # all that commands import when they run, and what they make once
    import cvfp_opt.model.compiled
    import cvfp_opt.report.page.write
    import cvfp_opt.search.enqueue
    import cvfp_opt.search.objective
    import cvfp_opt.single.train
    import cvfp_opt.store.transfer.operations
    import cvfp_opt.workers.engines  # noqa: F401
    from cvfp_opt.store.database.schema import optuna_schemas

    optuna_schemas()
    for line in sys.stdin:
        case = Case(**json.loads(line))
        files = [os.fdopen(os.memfd_create(name), "w+b") for name in ("out", "err")]
        pid = os.fork()
        if pid == 0:
            _run(case, files)
        descriptor = os.pidfd_open(pid)
        if not select.select([descriptor], [], [], SECONDS)[0]:
            os.kill(pid, signal.SIGKILL)
        os.close(descriptor)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        told: list[Any] = [code]
        for file in files:
            file.seek(0)
            told.append(file.read().hex())
            file.close()
        print(json.dumps(told), flush=True)


def _run(case: Case, files: list[Any]) -> None:
    """The child: its streams as Python makes them at its start, then the entry point."""
    from cvfp_opt.cli import main

    os.setsid()
    os.environ.update(case.environment or {})
    if case.gone:
        os.mkdir("gone")
        os.chdir("gone")
        os.rmdir("../gone")
    for descriptor, target, file in ((1, case.out, files[0]), (2, case.err, files[1])):
        name = ("stdout", "stderr")[descriptor - 1]
        stream = None
        os.close(descriptor)
        if target != "closed":
            os.dup2(_opened(target, file), descriptor)
            raw = io.FileIO(descriptor, "wb", closefd=False)
            errors = "strict" if descriptor == 1 else "backslashreplace"
            stream = io.TextIOWrapper(io.BufferedWriter(raw), case.encoding, errors)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.argv = ["cvfp-opt", *case.words]
    code: Any = 99
    try:
        main()
    except SystemExit as exit_:
        code = exit_.code
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _opened(target: str, file: Any) -> int:
    if target == "full":
        return os.open("/dev/full", os.O_WRONLY)
    if target == "pipe":
        reader, writer = os.pipe()
        os.close(reader)
        return writer
    return int(file.fileno())


if __name__ == "__main__":
    _serve()
