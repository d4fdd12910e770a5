"""Seeds that must never change, and devices that are not there."""

import itertools
import os

import pytest
import torch

from cvfp_opt.errors import DeviceError
from cvfp_opt.training.device import available_threads, resolve_device, set_threads
from cvfp_opt.training.embedding import random_embeddings
from cvfp_opt.training.seeds import Purpose, derive_seed, torch_generator

GOLDEN = (15793235383387715774, 10978872666724234829)


def test_seeds_are_part_of_the_record() -> None:
    assert derive_seed(0, 0, Purpose.PROPOSAL) == GOLDEN[0]
    assert derive_seed(7, 123, Purpose.AUDIT) == GOLDEN[1]


def test_every_purpose_of_every_trial_has_a_stream_of_its_own() -> None:
    keys = itertools.product(range(3), range(20), Purpose)
    seeds = [derive_seed(*key) for key in keys]
    assert len(set(seeds)) == len(seeds)


def test_embeddings_are_normalised_once_per_token() -> None:
    table = random_embeddings(50, 16, torch_generator(0, 0, Purpose.EMBEDDINGS))
    torch.testing.assert_close(table.mean(dim=1), torch.zeros(50), atol=1e-5, rtol=0)
    # LayerNorm's epsilon of 1e-5 takes 1.2 % off a variance of 0.02^2
    torch.testing.assert_close(table.var(dim=1, unbiased=False), torch.ones(50), atol=0.1, rtol=0)


def test_devices() -> None:
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(DeviceError, match="one of auto, cpu, cuda is required, got 'gpu'"):
        resolve_device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="no CUDA device on this machine; type --device cpu"):
            resolve_device("cuda")


def test_threads_are_set_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set_threads(1) == 1 == torch.get_num_threads()
    assert 1 <= available_threads() <= (os.cpu_count() or 1)
    monkeypatch.setattr("cvfp_opt.training.device.available_threads", lambda: 2)
    assert set_threads(None) == 2 == torch.get_num_threads()
    with pytest.raises(DeviceError, match="at least 1 is required, got 0"):
        set_threads(0)
