"""Workers and threads: what the user leaves open is chosen, what is typed is kept."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from cvfp_opt.errors import DeviceError
from cvfp_opt.workers.shares import MAX_DEFAULT_JOBS, Workers, share_out


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("typed", "n_jobs", "threads"),
    [
        ({"threads": 3}, 3, 1),
        ({"threads": 100}, MAX_DEFAULT_JOBS, 100 // MAX_DEFAULT_JOBS),
        ({"threads": 5, "n_jobs": 2}, 2, 2),
        ({"threads": 1, "n_jobs": 3}, 3, 1),
        ({"threads": 4, "lanes": 8}, 1, 4),
        ({"threads": 4, "scheduler": "tcp://there:1"}, None, 4),
        ({"scheduler": "tcp://there:1", "device": "cuda"}, None, None),
    ],
)
def test_workers_share_the_threads(
    typed: dict[str, Any], n_jobs: int | None, threads: int | None
) -> None:
    shared = share_out(Workers(**({"device": "cpu"} | typed)))
    assert (shared.n_jobs, shared.threads) == (n_jobs, threads)
    if not shared.remote:
        assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("typed", "message"), [({"n_jobs": 0}, "--n-jobs: at least 1"), ({"threads": 0}, "--threads")]
)
def test_less_than_one_is_refused(typed: dict[str, Any], message: str) -> None:
    with pytest.raises(DeviceError, match=message):
        share_out(Workers(device="cpu", **typed))
