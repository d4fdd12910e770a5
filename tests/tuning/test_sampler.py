"""Proposals depend on the study's record alone."""

from collections.abc import Sequence
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from cvfp_opt.tuning.sampler import SAMPLERS, PerTrialSampler, SamplerKind


def objective(trial: optuna.Trial) -> float:
    x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0.1, 10, log=True)
    if trial.number % 4 == 3:
        trial.report(x, trial.number % 3)
        raise optuna.TrialPruned
    return -((x - 0.3) ** 2) - (y - 1) ** 2


def study_with(
    name: str, storage: optuna.storages.BaseStorage, max_trials: int = 0
) -> optuna.Study:
    sampler = PerTrialSampler(
        SAMPLERS[name], study_seed=5, num_startup_trials=4, max_trials=max_trials
    )
    return optuna.create_study(
        study_name="s", storage=storage, sampler=sampler, direction="maximize", load_if_exists=True
    )


@pytest.mark.parametrize("max_trials", [0, 6])
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_study_resumed_in_pieces_proposes_what_the_uninterrupted_one_does(
    name: str, max_trials: int
) -> None:
    whole = study_with(name, optuna.storages.InMemoryStorage(), max_trials)
    whole.optimize(objective, n_trials=12)
    storage = optuna.storages.InMemoryStorage()
    for count in (3, 1, 5, 3):
        study_with(name, storage, max_trials).optimize(objective, n_trials=count)
    pieces = study_with(name, storage, max_trials)
    assert [t.params for t in pieces.trials] == [t.params for t in whole.trials]
    # NSGA-II's crossover may give a parent again
    assert len({t.params["x"] for t in whole.trials}) >= (9 if name == "nsga2" else 12)


@pytest.mark.parametrize("name", SAMPLERS)
def test_another_seed_proposes_other_points(name: str) -> None:
    points = []
    for seed in (1, 2):
        sampler = PerTrialSampler(SAMPLERS[name], seed, num_startup_trials=4, max_trials=0)
        study = optuna.create_study(sampler=sampler, direction="maximize")
        study.optimize(objective, n_trials=6)
        points.append({t.params["x"] for t in study.trials})
    assert not points[0] & points[1]


def test_a_limit_that_is_not_reached_changes_nothing() -> None:
    points = []
    for max_trials in (0, 12, 6):
        study = study_with("tpe", optuna.storages.InMemoryStorage(), max_trials)
        study.optimize(objective, n_trials=12)
        points.append([trial.params for trial in study.trials])
    assert points[0] == points[1] != points[2]


class Looking(RandomSampler):
    """Remembers the numbers of the trials that it was shown."""

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, *more: Any) -> Any:
        self.seen = [one.number for one in study.get_trials(deepcopy=False)]
        self.complete = len(study.get_trials(states=(TrialState.COMPLETE,)))
        return super().sample_independent(study, trial, *more)


def limited(inner: BaseSampler, max_trials: int) -> PerTrialSampler:
    return PerTrialSampler(SamplerKind(lambda *_: inner, limited=True), 0, 1, max_trials)


def shown(study: optuna.Study, max_trials: int) -> Looking:
    """What a sampler sees when the next trial asks it."""
    inner = Looking()
    study.sampler = limited(inner, max_trials)
    study.ask().suggest_float("x", 0, 1)
    return inner


def add(study: optuna.Study, *values: Sequence[float] | None) -> None:
    """Complete trials, and pruned ones where there are no values."""
    for value in values:
        state = TrialState.PRUNED if value is None else TrialState.COMPLETE
        study.add_trial(create_trial(state=state, values=value))


def test_the_best_and_the_latest_are_shown_and_whatever_runs() -> None:
    study = optuna.create_study(direction="maximize")
    study.ask()  # 0: runs
    add(study, [5.0], [9.0], *[[1.0]] * 30, [7.0], *[[0.0]] * 8, None)  # 1 ... 42
    study.add_trial(create_trial(state=TrialState.FAIL))  # 43: of no use to samplers
    found = shown(study, 20)  # 2 and 33 are the best, 44 is the one that asks
    assert found.seen == [0, 2, *range(24, 43), 44]
    assert found.complete == 19
    study = optuna.create_study(direction="minimize")
    add(study, *[[float(n)] for n in range(40)])
    assert shown(study, 10).seen == [0, *range(31, 40), 40]


def test_what_all_trials_have_in_common_is_searched() -> None:
    study = optuna.create_study(direction="maximize")
    x, y, z = (FloatDistribution(0, high) for high in (1, 2, 3))
    for distributions in ({"x": x, "y": y}, {"x": x, "y": z}, {"x": x, "y": y}):
        for _ in range(10):
            params = dict.fromkeys(distributions, 0.5)
            study.add_trial(create_trial(value=0.5, params=params, distributions=distributions))
    trial = study.trials[0]
    for sampler in (TPESampler(seed=0), limited(TPESampler(seed=0), 0)):
        assert sampler.infer_relative_search_space(study, trial) == {"x": x}
    latest = limited(TPESampler(seed=0), 8)
    assert latest.infer_relative_search_space(study, trial) == {"x": x, "y": y}


def test_with_two_objectives_the_front_is_the_best() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    add(study, [1.0, 1.0], [5.0, 9.0], [0.0, 0.0], [5.0, 8.0], *[[0.0, 10.0]] * 40)
    assert shown(study, 30).seen[:3] == [0, 2, 3]


def test_of_pruned_trials_those_that_came_furthest_are_the_best() -> None:
    study = optuna.create_study(direction="maximize")
    for steps in ({0: 9.0}, {0: 1.0, 1: 0.5}, {0: 1.0, 1: 0.75}, {}, {0: 1.0, 1: float("nan")}):
        study.add_trial(create_trial(state=TrialState.PRUNED, intermediate_values=steps))
    add(study, *[None] * 20)
    assert shown(study, 10).seen[0] == 2
