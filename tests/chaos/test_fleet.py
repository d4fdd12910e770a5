"""Many studies and workers that stay: whatever is done to them, exact totals, nothing twice."""

from collections.abc import Callable

import pytest
from chaos.conftest import Aftermath
from databases import KINDS

pytestmark = pytest.mark.processes
Play = Callable[..., Aftermath]


def check(found: Aftermath, studies: int, total: int) -> None:
    assert found.printed["failures"] == []
    assert found.printed["left"] == []
    for number in range(studies):
        found.check(total, f"s{number}")


@pytest.mark.parametrize("kind", KINDS)
def test_disturbed_workers_finish_all_studies_exactly(kind: str, play: Play) -> None:
    words = {"studies": 4, "workers": 3, "disturbances": 12, "seed": 1, "instant": False}
    found = play("fleet", kind=kind, total=5, **words)
    assert sum(found.printed["done"].values()) == 12
    check(found, 4, 5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_disturbed_workers_finish_many_studies_exactly(kind: str, play: Play) -> None:
    words = {"studies": 20, "workers": 6, "disturbances": 80, "seed": 2, "instant": False}
    check(play("fleet", kind=kind, total=6, **words), 20, 6)
