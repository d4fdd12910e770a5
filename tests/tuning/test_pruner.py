"""Pruners: which trials are given up, and when."""

import math
import time
from typing import Any

import optuna
import pytest
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, TrialState
from stock import tiny

from cvfp_opt.training.config import LOG_SHARE, PARTING_SHARE, ObjectiveConfig
from cvfp_opt.tuning.pruner import LOOK_SECONDS, PromisePruner
from cvfp_opt.tuning.sampler_pruner import exponents_after
from cvfp_opt.tuning.sampler_pruner import promise as promise_of

STATES = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.FAIL)


def promise(trial: FrozenTrial, step: int) -> float | None:
    promises: list[float] = trial.user_attrs["promises"]
    return promises[step] if step < len(promises) else None


def study_of(*promises: list[float], states: tuple[TrialState, ...] = STATES) -> optuna.Study:
    """Trials that promised so much after each iteration."""
    study = optuna.create_study(direction="maximize")
    for i, values in enumerate(promises):
        state = states[i % len(states)]
        study.add_trial(
            optuna.trial.create_trial(
                state=state,
                value=0.0 if state is TrialState.COMPLETE else None,
                user_attrs={"promises": values},
                intermediate_values=dict.fromkeys(range(len(values)), 0.0),
            )
        )
    return study


def pruned(study: optuna.Study, pruner: BasePruner) -> bool:
    """Whether the last trial is."""
    return pruner.prune(study, study.trials[-1])


def test_the_lowest_third_of_those_that_came_as_far_ends() -> None:
    others = [[0.0, 1.0], [0.0, 2.0], [0.0, 3.0], [0.0, 4.0], [9.0]]  # one is not there yet
    pruner = PromisePruner(4, 1, promise)
    assert pruned(study_of(*others, [0.0, 1.9]), pruner)
    assert not pruned(study_of(*others, [0.0, 2.1]), pruner)


def test_what_became_of_the_others_does_not_matter() -> None:
    others = [[0.0, float(i)] for i in range(1, 10)]
    for state in STATES:
        study = study_of(*others, [0.0, 3.5], states=(state,))
        assert pruned(study, PromisePruner(3, 1, promise))


def test_nothing_is_pruned_before_there_is_something_to_compare() -> None:
    others = [[0.0, 1.0], [0.0, 2.0]]
    assert not pruned(study_of(*others, [0.0, 0.1]), PromisePruner(3, 1, promise))
    assert pruned(study_of(*others, [0.0, 0.1]), PromisePruner(2, 1, promise))


def test_how_many_go_on_can_be_set() -> None:
    study = study_of(*([0.0, float(i)] for i in range(1, 10)), [0.0, 6.0])
    assert pruned(study, PromisePruner(3, 1, promise, reduction_factor=4.0))
    assert not pruned(study, PromisePruner(3, 1, promise, reduction_factor=2.0))
    with pytest.raises(ValueError, match="more than 1 is required, got 1"):
        PromisePruner(3, 1, promise, reduction_factor=1.0)


@pytest.mark.parametrize("warmup", [1, 3])
def test_the_rungs_are_powers_of_two_times_the_warmup(warmup: int) -> None:
    rungs = []
    for length in range(1, 20):
        study = study_of(*([[1.0] * 20] * 4), [0.0] * length)
        if pruned(study, PromisePruner(3, warmup, promise)):
            rungs.append(length - 1)
    assert rungs == {1: [1, 2, 4, 8, 16], 3: [3, 6, 12]}[warmup]


class Counting(optuna.Study):
    """A study that counts how often its trials are asked for."""

    def __init__(self, study: optuna.Study) -> None:
        self.__dict__.update(study.__dict__)
        self.asked = 0

    def get_trials(self, *arguments: Any, **more: Any) -> list[FrozenTrial]:
        self.asked += 1
        return super().get_trials(*arguments, **more)


def test_a_trial_looks_at_the_others_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    study = Counting(study_of([0.0, 1.0, 1.0], [0.0, 2.0, 2.0], [0.0, 3.0], [0.0, 0.5, 0.5]))
    pruner = PromisePruner(2, 1, promise)
    first, last = study.trials[2], study.trials[3]
    study.asked = 0
    assert not pruner.prune(study, first)
    assert pruner.prune(study, last)
    assert study.asked == 2  # each for itself
    first.user_attrs["promises"] += [0.5]
    first.intermediate_values[2] = 0.0
    assert pruner.prune(study, first)
    assert study.asked == 2
    now += LOOK_SECONDS
    assert pruner.prune(study, first)
    assert study.asked == 3
    assert len(pruner._looks) == 1


def test_a_finished_trial_is_asked_once_for_its_promise() -> None:
    asked: list[tuple[int, int]] = []

    def ask(trial: FrozenTrial, step: int) -> float | None:
        asked.append((trial.number, step))
        return promise(trial, step)

    pruner = PromisePruner(1, 1, ask)
    study = study_of([0.0, 1.0], [0.0, 2.0], [0.0, 3.0], [0.0], [0.0, 0.5], [0.0, 0.75])
    assert pruner.prune(study, study.trials[4])
    assert sorted(asked) == [(number, 1) for number in range(6)]
    asked.clear()
    assert pruner.prune(study, study.trials[5])
    # 2 runs; 4 is complete, but was not among the others before
    assert sorted(asked) == [(2, 1), (4, 1), (5, 1)]


def test_a_trial_that_reported_nothing_goes_on() -> None:
    assert not pruned(study_of([0.0, 1.0], []), PromisePruner(1, 1, promise))


def test_the_promise_knows_residuals_before_anything_converges() -> None:
    objective = ObjectiveConfig()
    near, far = objective.promise(0.5, 0.9, 0.1), objective.promise(2.0, 0.9, 0.1)
    assert near > far
    assert near - far == pytest.approx(0.5 * LOG_SHARE * math.log(4))
    assert objective.promise(0.5, 0.9, 0.1) > objective.promise(0.5, 0.7, 0.1)
    assert objective.promise(0.5, 0.9, 0.2) == objective.promise(0.25, 0.9, 0.1)
    assert objective.promise(0.0, 0.9, 0.1) == math.inf
    rank_only = ObjectiveConfig(convergence_weight=0.0, effective_rank_weight=1.0)
    assert rank_only.promise(7.0, 0.9, 0.1) == pytest.approx(0.9)


def test_where_weights_come_to_rest_only_what_does_not_settle_promises_less() -> None:
    def promised(residual: float, rank: float, threshold: float = 0.1) -> float:
        return ObjectiveConfig().promise(residual, rank, threshold, comes_to_rest=True)

    assert promised(0.5, 0.9) == promised(0.01, 0.9) == promised(0.5, 0.9, threshold=0.5)
    assert promised(0.5, 0.9) - promised(2.0, 0.9) == pytest.approx(0.5 * LOG_SHARE * math.log(2))
    assert promised(0.0, 0.9) == pytest.approx(0.45)


def test_where_an_audit_decides_a_network_that_parts_promises_less() -> None:
    def promised(exponent: float | None, feasible: str = "audit", *, rests: bool = True) -> float:
        objective = ObjectiveConfig(feasible=feasible)
        return objective.promise(2.0, 0.9, 0.1, comes_to_rest=rests, exponent=exponent)

    assert promised(-0.5) == promised(0.0) == pytest.approx(0.45)
    assert promised(0.0) - promised(0.2) == pytest.approx(0.5 * PARTING_SHARE * 0.2)
    unknown = promised(None)  # by the residual, as where no audit decides
    assert promised(0.2, "any") == unknown < promised(0.2)
    assert promised(0.2, rests=False) == promised(-0.2, rests=False) < unknown


def test_the_exponent_that_a_trial_reported_decides_what_it_promises() -> None:
    def promised(exponent: float) -> float | None:
        figures = {"residual": 2.0, "effective_rank": 0.9, "lyapunov_exponent": exponent}
        iterations = [{"iteration": 0, **figures}, {"iteration": 1, **figures}]
        trial = optuna.trial.create_trial(values=[0.5], user_attrs={"iterations": iterations})
        return promise_of(tiny("space.phase1_convergence_threshold=0.1"), trial, 1)

    assert (promised(-0.2) or 0.0) > (promised(0.2) or 0.0) > (promised(0.4) or 0.0) > 0.0


@pytest.mark.parametrize(
    ("settings", "iterations"),
    [
        ((), {1, 2}),
        (("search.num_pruner_warmup_steps=2",), {2}),
        (("search.pruner=median",), set()),
        (("objective.feasible=any",), set()),
        (("training.learning_rate_schedule=constant",), set()),
        (("objective.convergence=frozen", "objective.threshold=0.1", "search.pruner=none"), set()),
    ],
)
def test_exponents_are_estimated_where_the_pruner_compares_by_them(
    settings: tuple[str, ...], iterations: set[int]
) -> None:
    base = ("search.pruner=asha", "search.num_pruner_warmup_steps=1")
    definition = tiny(*base, *settings)
    assert exponents_after(definition) == iterations


@pytest.mark.parametrize(("schedule", "better"), [("cosine", "rank"), ("constant", "residual")])
def test_the_schedule_decides_what_a_trial_promises(schedule: str, better: str) -> None:
    definition = tiny(
        f"training.learning_rate_schedule={schedule}", "space.phase1_convergence_threshold=0.1"
    )
    promises = {}
    for name, residual, rank in (("rank", 0.5, 0.9), ("residual", 0.05, 0.7)):
        iterations = [
            {"iteration": n, "residual": residual, "effective_rank": rank} for n in (0, 1)
        ]
        trial = optuna.trial.create_trial(values=[0.5], user_attrs={"iterations": iterations})
        promises[name] = promise_of(definition, trial, 1)
    assert max(promises, key=lambda name: promises[name] or 0.0) == better
