"""Snapshots for the disk: tensors as arrays and back, and what a run's bits depend on."""

from collections.abc import Mapping

import torch
from torch import Tensor

from cvfp_opt.store.files.snapshot_format import Arrays
from cvfp_opt.training.snapshot import Snapshot

# These keys of an environment decide a run's bits, beside its seeds and settings.
BITS_DEPEND_ON = ("versions", "processor", "reader", "bfloat16", "device", "threads", "code")


def arrays_of(tensors: Mapping[str, Tensor]) -> Arrays:
    """Convert tensors for the disk; those on the CPU are not copied."""
    return {n: t.detach().cpu().contiguous().numpy() for n, t in tensors.items()}


def snapshot_of(arrays: Arrays, values: dict[str, object]) -> Snapshot:
    """Make a snapshot from the disk, in torch's own memory; take ``arrays`` apart.

    Copied one by one, for products may depend on how their operands lie in memory, and all of it
    is large.
    """
    names = list(arrays)
    tensors = {name: torch.from_numpy(arrays.pop(name)).clone() for name in names}
    return Snapshot(tensors=tensors, values=values)
