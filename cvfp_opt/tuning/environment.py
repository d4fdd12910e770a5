"""The environment of trials: enough to say later why numbers differ."""

import os
import platform
import socket
import subprocess
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from cvfp_opt.model.matrix_products import has_bfloat16
from cvfp_opt.model.passes import default_reader
from cvfp_opt.store.record.trial_attributes import StoredEnvironment
from cvfp_opt.version import __version__

_PACKAGES = ("torch", "optuna", "numpy", "numba", "tokenizers")

GIT_SECONDS = 5.0


def describe_environment(device: torch.device, threads: int) -> StoredEnvironment:
    """Describe versions, host, processor and how it computes, as plain JSON values."""
    versions = {"cvfp-opt": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # a build that carries no metadata
            versions[package] = "unknown"
    gpu = StoredEnvironment()
    if device.type != "cpu":
        gpu["gpu"] = torch.cuda.get_device_name(device)
    return {
        "versions": versions,
        **describe_checkout(Path(__file__).parents[1]),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "reader": default_reader(device),
        "bfloat16": "native" if has_bfloat16(device) else "emulated",
        "device": str(device),
        **gpu,
        "threads": threads,
    }


@cache
def describe_checkout(package: Path) -> StoredEnvironment:
    """Find the commit of a package in a git checkout, and whether it has been changed since.

    Empty where it lies in none, or git can't tell. A virtual environment within the checkout of
    another project is none: the package has to be tracked.
    """
    with suppress(OSError):  # a folder above that may not be looked into
        if not any((folder / ".git").exists() for folder in package.parents):
            return {}
    tracked = _git(package, "ls-files", "--error-unmatch", "--", "__init__.py")
    commit = _git(package, "rev-parse", "HEAD")
    changes = _git(package, "status", "--porcelain", "--", ".")
    if tracked is None or commit is None or changes is None:
        return {}
    return {"commit": commit, "uncommitted": bool(changes)}


def _git(folder: Path, *words: str) -> str | None:
    # what the caller's own git set, in a hook for instance, names another repository
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            env=clean | {"GIT_OPTIONAL_LOCKS": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
