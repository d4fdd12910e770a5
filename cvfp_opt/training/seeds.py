"""Everything random in a trial, from two numbers."""

from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """What a stream of random numbers is for. The numbers are part of the record: never change."""

    PROPOSAL = 0
    WEIGHTS = 1
    EMBEDDINGS = 2
    MINIBATCHES = 3
    AUDIT = 4
    PROBE = 5


def derive_seed(study_seed: int, trial: int, purpose: Purpose) -> int:
    """The 64-bit seed of one purpose in one trial: ``SeedSequence([study, trial, purpose])``."""
    sequence = np.random.SeedSequence([study_seed, trial, int(purpose)])
    return int(sequence.generate_state(1, np.uint64)[0])


def torch_generator(study_seed: int, trial: int, purpose: Purpose) -> torch.Generator:
    """A CPU generator for one purpose in one trial."""
    generator = torch.Generator()
    return generator.manual_seed(derive_seed(study_seed, trial, purpose) >> 1)  # fits int64
