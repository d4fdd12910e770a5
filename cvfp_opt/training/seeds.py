"""Everything random in a trial follows from the study's seed and the trial's number."""

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


class Purpose(IntEnum):
    """Purposes of random numbers. They are part of the record: never change one."""

    PROPOSAL = 0
    WEIGHTS = 1
    EMBEDDINGS = 2
    MINIBATCHES = 3
    AUDIT = 4
    PROBE = 5


def derive_seed(study_seed: int, trial: int, purpose: Purpose) -> int:
    """Derive a 64-bit seed from ``SeedSequence([study seed, trial, purpose])``."""
    sequence = np.random.SeedSequence([study_seed, trial, int(purpose)])
    return int(sequence.generate_state(1, np.uint64)[0])


def torch_generator(study_seed: int, trial: int, purpose: Purpose) -> "torch.Generator":
    """Make a CPU generator for one purpose in one trial."""
    import torch  # to propose a point needs none

    generator = torch.Generator()
    return generator.manual_seed(derive_seed(study_seed, trial, purpose) >> 1)  # fits int64
