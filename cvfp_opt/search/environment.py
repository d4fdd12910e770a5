"""What a trial ran on: enough to say later why numbers differ."""

import platform
import socket
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from cvfp_opt import __version__
from cvfp_opt.model.passes import default_reader
from cvfp_opt.model.products import has_bfloat16

_PACKAGES = ("torch", "optuna", "numpy", "numba", "tokenizers")


def describe_environment(device: torch.device, threads: int) -> dict[str, Any]:
    """Versions, host, processor and what it computes with, as plain JSON values."""
    versions = {"cvfp-opt": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # a build that carries no metadata
            versions[package] = "unknown"
    return {
        "versions": versions,
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "processor": torch.backends.cpu.get_cpu_capability(),
        "reader": default_reader(device),
        "bfloat16": "native" if has_bfloat16(device) else "emulated",
        "device": str(device),
        "threads": threads,
    }
