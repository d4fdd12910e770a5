"""What keepers of snapshots share: tensors as arrays and back, and what a run's bits depend on."""

import torch

from cvfp_opt.store.files.snapshot_format import Arrays
from cvfp_opt.training.snapshot import Snapshot

# Of search.environment, and what is added to it: the seeds and settings give the same bits where
# these are the same.
BITS_DEPEND_ON = ("versions", "processor", "reader", "bfloat16", "device", "threads", "code")


def arrays_of(snapshot: Snapshot) -> Arrays:
    """A snapshot's tensors for the disk; those on the CPU are not copied."""
    return {n: t.detach().cpu().contiguous().numpy() for n, t in snapshot.tensors.items()}


def snapshot_of(arrays: Arrays, values: dict[str, object]) -> Snapshot:
    """A snapshot from the disk, in torch's own memory; takes ``arrays`` apart.

    Copied one by one, for products may depend on how their operands lie in memory, and all of it
    is large.
    """
    names = list(arrays)
    tensors = {name: torch.from_numpy(arrays.pop(name)).clone() for name in names}
    return Snapshot(tensors=tensors, values=values)
