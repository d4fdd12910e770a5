"""Proposals depend on the study's record alone."""

from collections.abc import Sequence
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial
from stock import tiny

from cvfp_opt.store.database.optuna_private import trial_id_of
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.sampler import PerTrialSampler
from cvfp_opt.tuning.sampler_kinds import SAMPLERS
from cvfp_opt.tuning.sampler_pruner import sampler_of

# 20 points, for a sampler that wants them countable.
COUNTABLE = (
    "space.dist_reg_weight=0.5",
    "space.phase1_learning_rate=0.001",
    "space.phase1_convergence_threshold=0.1",
    "space.layernorm_mix=1.0",
    'space.diversity.loss=["orthogonality", "coding_rate"]',
    "space.training.num_epochs={low=1, high=10}",
)


def naming(name: str, *settings: str, seed: int = 5) -> StudyDefinition:
    """A definition with four trials at random, by the sampler of that name."""
    space = COUNTABLE if name == "brute_force" else ()
    own = (f"search.sampler={name}", "search.num_startup_trials=4", f"search.seed={seed}")
    return tiny(*own, *space, *settings)


def worth(trial: optuna.Trial, definition: StudyDefinition) -> float:
    """Score a trial by how near to some point it is; prune one in four."""
    params = definition.space.suggest(trial)
    if trial.number % 4 == 3:
        trial.report(0.5, trial.number % 3)
        raise optuna.TrialPruned
    weight, epochs = params.get("dist_reg_weight", 0.3), params.get("training.num_epochs", 0)
    return -((weight - 0.3) ** 2) - abs(params.get("layernorm_mix", 0.8) - 0.8) - 0.01 * epochs


def search(
    definition: StudyDefinition, count: int, storage: BaseStorage | None = None
) -> optuna.Study:
    """Run so many trials, by a sampler that has run none before."""
    study = optuna.create_study(
        study_name="s",
        storage=storage or InMemoryStorage(),
        sampler=sampler_of(definition),
        direction="maximize",
        load_if_exists=True,
    )
    study.optimize(lambda trial: worth(trial, definition), n_trials=count)
    return study


def points(study: optuna.Study) -> list[dict[str, Any]]:
    return [trial.params for trial in study.trials]


def different(study: optuna.Study) -> int:
    return len({tuple(sorted(point.items())) for point in points(study)})


@pytest.mark.parametrize("limit", [0, 6])
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_study_resumed_in_pieces_proposes_what_the_uninterrupted_one_does(
    name: str, limit: int
) -> None:
    definition = naming(name, f"search.max_sampler_trials={limit}")
    counts = (3, 1, 2, 3) if name == "gp" else (3, 1, 5, 7)  # which takes half a second each
    whole = search(definition, sum(counts))
    storage = InMemoryStorage()
    for count in counts:
        pieces = search(definition, count, storage)
    assert points(pieces) == points(whole)
    # a crossover may give a parent again
    assert different(whole) >= (12 if name.startswith("nsga") else sum(counts))


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_trial_whose_worker_dies_before_it_has_parameters_gets_the_same(name: str) -> None:
    definition = naming(name)
    whole = search(definition, 7)
    study = search(definition, 6)
    number = trial_id_of(study.ask())  # its worker dies here
    study.sampler = sampler_of(definition)
    assert definition.space.suggest(optuna.Trial(study, number)) == whole.trials[6].params


@pytest.mark.parametrize("name", SAMPLERS)
def test_two_workers_never_propose_one_point(name: str) -> None:
    definition = naming(name)
    study = search(definition, 6)
    proposed = {tuple(point.items()) for point in points(study)}
    for turn in range(3):
        running = []
        for _ in range(2):  # each with a sampler of its own, both before either has parameters
            study.sampler = sampler_of(definition)
            running.append(study.ask())
        for trial in reversed(running) if turn % 2 else running:
            proposed.add(tuple(definition.space.suggest(trial).items()))
            study.tell(trial, 0.5)
    assert len(proposed) >= (8 if name.startswith("nsga") else 12)


@pytest.mark.parametrize("name", SAMPLERS)
def test_another_seed_proposes_other_points(name: str) -> None:
    one, other = (points(search(naming(name, seed=seed), 6)) for seed in (1, 2))
    assert one != other
    if name != "brute_force":  # which has few, in another order
        assert not [point for point in one if point in other]


def test_no_two_trials_of_a_study_have_one_seed() -> None:
    seeds: list[int] = []
    definition = naming("random")

    def make(seed: int) -> BaseSampler:
        seeds.append(seed)
        return RandomSampler(seed)

    study = optuna.create_study(sampler=PerTrialSampler(make, 5))
    study.optimize(lambda trial: worth(trial, definition), n_trials=6)
    assert len(set(seeds)) == 6


def test_a_limit_that_is_not_reached_changes_nothing() -> None:
    found = [
        points(search(naming("tpe", f"search.max_sampler_trials={limit}"), 12))
        for limit in (0, 12, 6)
    ]
    assert found[0] == found[1] != found[2]


class Looking(RandomSampler):
    """Remembers the numbers of the trials that it was shown."""

    def sample_independent(self, study: optuna.Study, trial: FrozenTrial, *more: Any) -> Any:
        self.seen = [one.number for one in study.get_trials(deepcopy=False)]
        self.complete = len(study.get_trials(states=(TrialState.COMPLETE,)))
        return super().sample_independent(study, trial, *more)


def limited(inner: BaseSampler, max_trials: int) -> PerTrialSampler:
    return PerTrialSampler(lambda seed: inner, 0, max_trials=max_trials)


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


def test_trials_with_other_constraints_are_none_for_a_process_that_takes_no_others() -> None:
    study = optuna.create_study(direction="maximize")
    add(study, [1.0], [2.0])
    study.add_trial(create_trial(value=3.0, constraints={"flag": 0.0}))
    inner = Looking()
    study.sampler = PerTrialSampler(lambda seed: inner, 0, max_trials=0, alike=True)
    study.ask().suggest_float("x", 0, 1)
    assert inner.seen == [2, 3]


def test_the_best_that_are_shown_violate_no_constraint() -> None:
    study = optuna.create_study(direction="maximize")
    for value, against in ((9.0, 0.5), (5.0, -0.5), (8.0, 0.1), (7.0, 0.0)):
        study.add_trial(create_trial(value=value, constraints={"threshold": against}))
    add(study, *[[1.0]] * 30)
    assert shown(study, 20).seen[:2] == [1, 3]
