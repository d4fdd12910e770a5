"""Proposals depend on the study's record alone."""

import optuna
import pytest

from cvfp_opt.search.sampler import SAMPLERS, PerTrialSampler


def objective(trial: optuna.Trial) -> float:
    x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0.1, 10, log=True)
    return -((x - 0.3) ** 2) - (y - 1) ** 2


def study_with(name: str, storage: optuna.storages.BaseStorage) -> optuna.Study:
    sampler = PerTrialSampler(SAMPLERS[name], study_seed=5, num_startup_trials=4)
    return optuna.create_study(
        study_name="s", storage=storage, sampler=sampler, direction="maximize", load_if_exists=True
    )


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_study_resumed_in_pieces_proposes_what_the_uninterrupted_one_does(name: str) -> None:
    whole = study_with(name, optuna.storages.InMemoryStorage())
    whole.optimize(objective, n_trials=12)
    storage = optuna.storages.InMemoryStorage()
    for count in (3, 1, 5, 3):
        study_with(name, storage).optimize(objective, n_trials=count)
    pieces = study_with(name, storage)
    assert [t.params for t in pieces.trials] == [t.params for t in whole.trials]
    # NSGA-II's crossover may give a parent again
    assert len({t.params["x"] for t in whole.trials}) >= (9 if name == "nsga2" else 12)


@pytest.mark.parametrize("name", SAMPLERS)
def test_another_seed_proposes_other_points(name: str) -> None:
    points = []
    for seed in (1, 2):
        sampler = PerTrialSampler(SAMPLERS[name], study_seed=seed, num_startup_trials=4)
        study = optuna.create_study(sampler=sampler, direction="maximize")
        study.optimize(objective, n_trials=6)
        points.append({t.params["x"] for t in study.trials})
    assert not points[0] & points[1]
