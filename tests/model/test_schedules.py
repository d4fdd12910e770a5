"""Weight schedules: pure functions, in range, and the original report's options."""

import itertools

import pytest

from cvfp_opt.model.schedules import WEIGHT_SCHEDULES, ScheduleConfig


def weight(kind: str = "", config: ScheduleConfig | None = None, **changes: float | None) -> float:
    arguments: dict[str, float | int | None] = {
        "dist_reg_weight": 0.4,
        "iteration": 0,
        "num_iterations": 10,
        "convergence_rate": 0.9,
        "effective_rank": 0.9,
    }
    config = config or ScheduleConfig(kind=kind)
    return WEIGHT_SCHEDULES[config.kind](config, **(arguments | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", WEIGHT_SCHEDULES)
def test_every_schedule_stays_in_range_and_has_no_memory(kind: str) -> None:
    rates: list[float | None] = [None, 0.0, 0.5, 1.0]
    for own, k, rate, rank in itertools.product([0.0, 1.0], range(10), rates, rates):
        changes = {
            "dist_reg_weight": own,
            "iteration": k,
            "convergence_rate": rate,
            "effective_rank": rank,
        }
        first = weight(kind, **changes)
        assert 0.0 <= first <= 1.0
        assert weight(kind, **changes) == first


def test_constant_is_the_trials_own() -> None:
    assert {weight("constant", iteration=k) for k in range(10)} == {0.4}


def test_staged_is_the_seeds_option_1() -> None:
    weights = [weight("staged", iteration=k) for k in range(10)]
    assert weights == [0.8] * 3 + [0.5] * 3 + [0.2] * 4


@pytest.mark.parametrize("stages", [1, 2, 5, 9])
def test_any_number_of_stages_covers_the_iterations_in_order(stages: int) -> None:
    stage_weights = tuple(1 - i / 10 for i in range(stages))
    config = ScheduleConfig(kind="staged", stage_weights=stage_weights)
    weights = [weight(config=config, iteration=k) for k in range(10)]
    assert weights == sorted(weights, reverse=True)
    assert set(weights) == set(stage_weights)


@pytest.mark.parametrize(
    ("rank", "rate", "expected"),
    [(0.79, 0.9, 0.7), (0.8, 0.49, 0.2), (0.8, 0.5, 0.5), (0.1, 0.1, 0.7), (None, None, 0.4)],
)
def test_adaptive_is_the_seeds_option_2(
    rank: float | None, rate: float | None, expected: float
) -> None:
    assert weight("adaptive", effective_rank=rank, convergence_rate=rate) == expected
