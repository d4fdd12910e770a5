"""Where and with how many threads torch computes: always explicit, always recorded."""

import os

import torch

from cvfp_opt.errors import DeviceError

DEVICES = ("auto", "cpu", "cuda")


def resolve_device(name: str) -> torch.device:
    """Resolve ``auto`` (CUDA if there is one, else CPU), ``cpu`` or ``cuda`` to a device.

    Raises:
        DeviceError: an unknown name, or CUDA asked for where there is none.
    """
    if name not in DEVICES:
        raise DeviceError(f"--device: one of {', '.join(DEVICES)} is required, got {name!r}")
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise DeviceError(
            "--device cuda: torch finds no CUDA device on this machine; "
            "type --device cpu, or install a CUDA build of torch"
        )
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def available_threads() -> int:
    """Processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def set_threads(count: int | None) -> int:
    """Make torch use ``count`` threads (default: all that are available); returns the count.

    Raises:
        DeviceError: a count below 1.
    """
    count = available_threads() if count is None else count
    if count < 1:
        raise DeviceError(f"--threads: at least 1 is required, got {count}")
    torch.set_num_threads(count)
    return count


def load_linear_algebra(device: torch.device) -> None:
    """Make torch load its linear algebra for a device, before threads ask for it.

    Two threads that need it first at the same moment get "lazy wrapper should be called at most
    once" on CUDA, and lose their trials (seen on an H200: 12 of the first 16 lanes).
    """
    torch.linalg.eigvalsh(torch.ones(1, 1, dtype=torch.float64, device=device))
