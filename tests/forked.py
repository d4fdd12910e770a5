"""What worker processes of tests run, and the server that they are forked from."""

import os
import signal
import sys
import textwrap
import threading
from multiprocessing.connection import Connection
from pathlib import Path

import numpy
import pytest
import torch


def describe(line: Connection) -> None:
    """Tell how this process is, and how the one is that it was forked from."""
    server = Path(f"/proc/{os.getppid()}")
    print("a worker prints", flush=True)
    line.send(
        {
            "folder": os.getcwd(),
            "environment": dict(os.environ),
            "path": sys.path,
            "blocked": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
            "threads": threading.active_count(),
            "cuda": torch.cuda.is_initialized() or torch.cuda._is_in_bad_fork(),
            "preloaded": "torch._dynamo" in sys.modules,
            "drawn": numpy.random.random(),
            "server": server.name,
            "server_threads": len(list((server / "task").iterdir())),
            "server_streams": [os.readlink(server / "fd" / str(number)) for number in range(3)],
        }
    )


# Python runs it first of all in each process that it starts; here in the server alone.
_IN_SERVER = """
import os, signal, sys, time
if any("multiprocessing.forkserver" in word for word in sys.orig_argv):
"""


def act_in_server(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the servers of processes that are started from here on run some code first of all."""
    code = textwrap.indent(textwrap.dedent(code), "    ")
    Path("sitecustomize.py").write_text(_IN_SERVER + code)
    path = [str(Path.cwd()), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))
