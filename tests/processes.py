"""Python processes forked from one that has imported all that commands import.

``fork_python("-m", "cvfp_opt", "list", ...)`` does what ``python -m cvfp_opt list`` does, some
seconds of processor time earlier; which leaves the imports themselves to the few tests that start
``sys.executable``. Run as a program, this file is the process that is forked.
"""

import atexit
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import types
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TextIO

_NUMBER = struct.Struct("q")
_LONGEST = 1 << 20  # of a request: arguments and environment
_AT_FIRST = dict(os.environ)  # before a test changes a variable


class Process:
    """A forked process: as ``subprocess.Popen`` with ``text=True``, as far as tests need it.

    Attributes:
        pid: also of its group, which is its own: to be signalled as a whole, as by ^C.
        stdout: where its output is read; None if it went elsewhere.
        returncode: negative for a signal; None as long as it is not known to have ended.
    """

    def __init__(self, status: int, stdout: TextIO | None) -> None:
        self._status = status
        self.stdout = stdout
        self.returncode: int | None = None
        self.pid = self._read()

    def _read(self) -> int:
        data = os.read(self._status, _NUMBER.size)
        assert data, "the process that is forked has ended"
        return int(_NUMBER.unpack(data)[0])

    def poll(self) -> int | None:
        """Look if it has ended: the exit code, or None."""
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            self.returncode = self._read()
            os.close(self._status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit code. Raises subprocess.TimeoutExpired."""
        if self.returncode is None and not select.select([self._status], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        code = self.poll()
        assert code is not None
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """Read what is left of the output, and wait. Raises subprocess.TimeoutExpired."""
        read: list[str] = []
        started = time.monotonic()
        if self.stdout is not None and not self.stdout.closed:
            output = self.stdout
            reader = threading.Thread(target=lambda: read.append(output.read()), daemon=True)
            reader.start()
            reader.join(timeout)
            if reader.is_alive():
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            output.close()
        self.wait(None if timeout is None else max(0, started + timeout - time.monotonic()))
        return "".join(read), None

    def send_signal(self, signum: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signum)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


def fork_python(
    *words: str,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
    streams: Sequence[int | None] | None = None,
) -> Process:
    """Start a process that does what ``python WORDS...`` does.

    Args:
        words: ``-m MODULE`` or ``-c CODE``, and its arguments.
        cwd: the process's current folder.
        environment: all variables; of this process by default.
        streams: descriptors for standard input, output and error, None for a closed one; by
            default no input, and both outputs in ``.stdout``.
    """
    reader = None
    opened = []
    if streams is None:
        read, write = os.pipe()
        reader = open(read, encoding="utf-8")  # noqa: SIM115  (closed by whoever reads it)
        opened = [os.open(os.devnull, os.O_RDONLY), write]
        streams = [opened[0], write, write]
    status, told = os.pipe()
    request = {
        "words": words,
        "cwd": str(cwd),
        "environment": dict(os.environ if environment is None else environment),
        "open": [number for number, stream in enumerate(streams) if stream is not None],
    }
    given = [stream for stream in streams if stream is not None]
    socket.send_fds(_template(), [json.dumps(request).encode()], [told, *given])
    for descriptor in (*opened, told):
        os.close(descriptor)
    return Process(status, reader)


@cache
def _template() -> socket.socket:
    """Start the process that is forked; it ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            env=_AT_FIRST,
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )

    def end() -> None:
        ours.close()
        process.kill()
        process.wait()

    atexit.register(end)
    return ours


def _import_all() -> None:
    """Import what commands import when they run, and make what they make once."""
    import alembic.command  # noqa: F401
    import numpy
    import plotly.io  # noqa: F401
    import torch._dynamo

    import cvfp_opt
    from cvfp_opt.store.database.schema import optuna_schemas
    from cvfp_opt.training.warmup import compile_kernels

    for module in pkgutil.walk_packages(cvfp_opt.__path__, "cvfp_opt."):
        if module.name not in ("cvfp_opt.__main__", "cvfp_opt.workers.preload"):
            importlib.import_module(module.name)
    torch.set_num_threads(1)  # no fork survives torch's pool of threads
    compile_kernels("batch", 1, torch.device("cpu"))
    optuna_schemas()
    gc.freeze()  # a collection would copy the pages that processes share
    os.register_at_fork(after_in_child=numpy.random.seed)


def _serve(line: socket.socket) -> list[str]:
    """Fork for each request. Returns in each process that is to do something: what."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no keeper is waited for
    while True:
        data, descriptors, *_ = socket.recv_fds(line, _LONGEST, 4)
        if not data:
            os._exit(0)
        if os.fork() == 0:
            line.close()
            told, *streams = descriptors
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            pid = os.fork()
            if pid == 0:
                os.close(told)
                return _become(json.loads(data), streams)
            _keep(pid, told)
        for descriptor in descriptors:
            os.close(descriptor)


def _keep(pid: int, told: int) -> None:
    """Tell a child's process id, and how it ended."""
    os.setsid()
    os.dup2(told, 0)
    os.closerange(1, 1 << 16)
    os.write(0, _NUMBER.pack(pid))
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with suppress(BrokenPipeError):
        os.write(0, _NUMBER.pack(code))
    os._exit(0)


def _become(request: dict[str, Any], received: list[int]) -> list[str]:
    """Make this process what Python is when it has started. Returns the words to obey."""
    os.setsid()
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for number in range(3):
        os.close(number)
    for number, descriptor in zip(request["open"], received, strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = _stream(number) if number in request["open"] else None
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    words: list[str] = request["words"]
    more = os.environ.get("PYTHONPATH", "")
    # in the place of the folder of this file
    sys.path[:1] = [os.getcwd(), *filter(None, more.split(os.pathsep))]
    sys.orig_argv[1:] = words
    return words


def _stream(number: int) -> TextIO:
    encoding = os.environ.get("PYTHONIOENCODING", "utf-8")
    unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    raw = io.FileIO(number, "wb" if number else "rb", closefd=False)
    if number == 0:
        return io.TextIOWrapper(io.BufferedReader(raw), encoding)
    return io.TextIOWrapper(
        raw if unbuffered else io.BufferedWriter(raw),  # type: ignore[arg-type]
        encoding,
        errors="strict" if number == 1 else "backslashreplace",
        line_buffering=number == 2,
        write_through=unbuffered,
    )


def _obey(words: list[str]) -> None:
    """Do what ``python WORDS...`` does."""
    option, what, *arguments = words
    sys.argv = [option, *arguments]
    if option == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
        return
    assert option == "-c", option
    sys.path[0] = ""
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    exec(compile(what, "<string>", "exec"), main.__dict__)


if __name__ == "__main__":
    _import_all()
    _obey(_serve(socket.socket(fileno=int(sys.argv[1]))))
