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
    assert 0 < sum(found.printed["done"].values()) <= 12  # on a quick machine all is done before
    check(found, 4, 5)


def test_workers_share_themselves_by_weight(play: Play) -> None:
    words = {"studies": {"a": 1, "b": 3}, "workers": 3, "trials": 120, "instant": False}
    found = play("shares", kind="postgresql", total=1000, **words)
    assert found.printed["codes"] == [0] * 3
    started = found.printed["started"]
    share = started["b"] / sum(started.values())
    # within one trial a worker and two more, and what began while nobody looked
    assert share == pytest.approx(0.75, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_disturbed_workers_finish_many_studies_exactly(kind: str, play: Play) -> None:
    words = {"studies": 20, "workers": 6, "disturbances": 80, "seed": 2, "instant": False}
    check(play("fleet", kind=kind, total=6, **words), 20, 6)
