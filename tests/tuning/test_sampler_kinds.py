"""Samplers by name: what each is, which settings it takes, and what it cannot search."""

import importlib.util
from pathlib import Path
from typing import Any

import cmaes
import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import GPSampler, NSGAIIISampler, NSGAIISampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial
from scipy.stats import qmc
from stock import optimized, stock_study, tiny

from cvfp_opt.errors import DefinitionError
from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.tuning.cmaes_sampler import GENERATION, CmaEsSampler
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.exhaustive_samplers import BruteForceSampler, QmcSampler
from cvfp_opt.tuning.keyword_settings import construct
from cvfp_opt.tuning.plan import Request, make_plan
from cvfp_opt.tuning.sampler_kinds import SAMPLERS, SamplerRequest
from cvfp_opt.tuning.sampler_pruner import sampler_of

WORDS = 'space.diversity.loss=["orthogonality", "coding_rate"]'
FIXED = (
    "space.dist_reg_weight=0.5",
    "space.phase1_learning_rate=0.001",
    "space.phase1_convergence_threshold=0.1",
)
BOX = {
    "x": FloatDistribution(-1.0, 3.0),
    "y": FloatDistribution(0.01, 1.0, log=True),
    "n": IntDistribution(1, 4),
}


def test_each_name_is_optunas_sampler_or_ours() -> None:
    kinds = {
        "tpe": TPESampler,
        "gp": GPSampler,
        "nsga2": NSGAIISampler,
        "nsga3": NSGAIIISampler,
        "cmaes": CmaEsSampler,
        "qmc": QmcSampler,
        "random": optuna.samplers.RandomSampler,
        "brute_force": BruteForceSampler,
    }
    assert kinds.keys() == SAMPLERS.keys()
    for name, kind in kinds.items():
        space = {"n": BOX["n"]} if name == "brute_force" else BOX
        request = SamplerRequest(seed=3, study_seed=4, num_startup_trials=5, space=space)
        assert isinstance(construct(SAMPLERS[name].make, request), kind)


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "brute_force"])
def test_a_study_is_searched_with_each(name: str) -> None:
    kind = "pareto" if name in ("nsga2", "nsga3") else "quick"
    study = optimized(4, f"search.sampler={name}", "search.num_startup_trials=2", name=kind)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 4


def test_a_study_is_searched_point_by_point() -> None:
    space = (*FIXED, "space.layernorm_mix=1.0", "space.training.num_epochs={low=1, high=3}")
    study = optimized(6, "search.sampler=brute_force", "search.pruner=none", *space)
    epochs = [trial.params["training.num_epochs"] for trial in study.trials]
    assert sorted(epochs[:3]) == sorted(epochs[3:]) == [1, 2, 3]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["sampler=grid"], "search.sampler: 'grid' is not offered: numbers of a range have no"),
        (["sampler=gpp"], "unknown sampler 'gpp'; did you mean 'gp'?"),
        (["sampler_settings={n_ei_candidate=3}"], "did you mean 'n_ei_candidates'?"),
        (
            ["sampler_settings={n_ei_candidates=2.5}"],
            "n_ei_candidates: a whole number is required",
        ),
        (["sampler_settings={seed=3}"], "search.sampler_settings.seed: set search.seed instead"),
        (["sampler_settings={n_startup_trials=3}"], "set search.num_startup_trials instead"),
        (["sampler_settings={gamma=3}"], "no number, word, true or false, so that TOML cannot"),
        (
            ["sampler_settings={prior_weight=0.5}"],
            "prior_weight: unknown setting; Optuna is giving it up",
        ),
        (["sampler_settings=3"], "search.sampler_settings: a table { name = value } is required"),
        (["sampler=random", "sampler_settings={n=1}"], "unknown setting; there are none"),
        (["sampler=qmc", "sampler_settings={qmc_type='sobel'}"], "one of sobol, halton is req"),
        (["sampler=cmaes", "sampler_settings={popsize=1}"], "popsize: at least 2 is required"),
        (
            ["sampler=cmaes", "sampler_settings={sigma0=0}"],
            "sigma0: a share in (0, 1] is required",
        ),
        (["sampler=nsga2", "sampler_settings={population_size=9}"], "set search.num_startup_tri"),
        (["sampler=gp", "sampler_settings={deterministic_objective=1}"], "true or false is requ"),
    ],
)
def test_settings_are_checked_with_the_definition(settings: list[str], message: str) -> None:
    with pytest.raises(DefinitionError) as error:
        tiny(*(f"search.{setting}" for setting in settings))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["search.sampler=cmaes", WORDS],
            "numbers alone are required, and diversity.loss has words",
        ),
        (["search.sampler=cmaes", *FIXED], "two searched numbers are required, got 1"),
        (["search.sampler=brute_force"], "fix it with --set space.dist_reg_weight=VALUE"),
        (
            [
                "search.sampler=brute_force",
                *FIXED,
                "space.layernorm_mix=1",
                "space.training.num_epochs={low=1, high=20000}",
            ],
            "at most 10000 points are possible, got 20000",
        ),
    ],
)
def test_a_space_that_a_sampler_cannot_search_is_refused(
    settings: list[str], message: str
) -> None:
    with pytest.raises(DefinitionError) as error:
        tiny(*settings)
    assert message in str(error.value)
    with pytest.raises(DefinitionError, match="one objective is required"):
        tiny("search.sampler=cmaes", name="pareto")


def test_settings_reach_the_sampler_and_the_digest() -> None:
    def second(definition: StudyDefinition) -> dict[str, Any]:
        study = stock_study(definition)
        study.optimize(lambda trial: sum(definition.space.suggest(trial).values()), n_trials=3)
        return study.trials[2].params

    plain, few = (
        tiny("search.num_startup_trials=1", setting)
        for setting in (
            "search.sampler_settings={}",
            "search.sampler_settings={n_ei_candidates=1}",
        )
    )
    assert second(plain) != second(few)
    assert plain.digest() == tiny("search.num_startup_trials=1").digest() != few.digest()


def test_a_trial_of_any_sampler_has_a_definition() -> None:
    point = {
        "dist_reg_weight": 0.5,
        "phase1_learning_rate": 0.001,
        "phase1_convergence_threshold": 0.1,
        "layernorm_mix": 1.0,
    }
    assert tiny("search.sampler=cmaes").at(point).space.searched == {}


@pytest.mark.parametrize(
    ("name", "package"), [("gp", "scipy"), ("qmc", "scipy"), ("cmaes", "cmaes")]
)
def test_a_package_that_is_missing_is_named_before_anything_is_written(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda asked: None if asked == package else found(asked)
    )
    request = Request(definition="quick", settings=[f"search.sampler={name}"])
    with pytest.raises(
        DefinitionError, match=r"type `pip install 'cvfp-opt\[samplers\]'`"
    ) as error:
        make_plan(resolve_location("sqlite:///x.db"), request)
    assert not Path("x.db").exists()
    assert f"needs the package {package}" in str(error.value)


def trials_of(rng: np.random.Generator, generations: list[int], size: int) -> list[Any]:
    """Complete trials of some generations, at random points of the box."""
    found = []
    for generation in generations:
        for _ in range(size):
            params = {
                "x": rng.uniform(-1.0, 3.0),
                "y": 10.0 ** rng.uniform(-2.0, 0.0),
                "n": int(rng.integers(1, 5)),
            }
            found.append(
                create_trial(
                    value=rng.normal(),
                    params=params,
                    distributions=BOX,
                    system_attrs={GENERATION: generation},
                )
            )
    return found


@pytest.mark.parametrize("direction", [StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE])
def test_cma_es_is_the_one_that_is_told_the_same(direction: StudyDirection) -> None:
    """Against an optimizer that was asked and told all along; and what it has is in the box."""
    trials = trials_of(np.random.default_rng(0), [0, 1, 2], 7)
    sampler = CmaEsSampler(1, 1, BOX, popsize=6)
    reference = cmaes.CMA(
        mean=np.full(3, 0.5), sigma=1 / 6, bounds=np.array([[0.0, 1.0]] * 3), population_size=6
    )
    sign = -1.0 if direction is StudyDirection.MAXIMIZE else 1.0
    for generation in range(3):
        reference.tell(
            [
                (
                    np.array(
                        [
                            (trial.params["x"] + 1.0) / 4.0,
                            (np.log10(trial.params["y"]) + 2.0) / 2.0,
                            (trial.params["n"] - 0.5) / 4.0,
                        ]
                    ),
                    sign * trial.value,
                )
                for trial in trials[7 * generation :][:6]  # the seventh came too late
            ]
        )
    found = sampler.optimizer(trials, direction)
    assert found.generation == reference.generation == 3
    found.reseed_rng(9)
    reference.reseed_rng(9)
    assert np.allclose(found.ask(), reference.ask(), rtol=1e-12)


def test_cma_es_finds_the_top_of_a_hill() -> None:
    def hill(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", -1.0, 3.0)
        y = trial.suggest_float("y", 0.01, 1.0, log=True)
        return -((x - 1.5) ** 2) - (np.log10(y) + 0.5) ** 2 - abs(trial.suggest_int("n", 1, 4) - 2)

    best = {}
    for name in ("cmaes", "random"):
        request = {"study_seed": 0, "num_startup_trials": 5, "space": BOX}
        make = SAMPLERS[name].make
        study = optuna.create_study(direction="maximize")
        for number in range(120):
            study.sampler = make(SamplerRequest(seed=number, **request))
            study.optimize(hill, n_trials=1)
        best[name] = study.best_value
    assert best["cmaes"] > -1e-3 > best["random"]


def test_quasi_random_points_are_the_sequence() -> None:
    study = optuna.create_study()
    for _ in range(16):
        study.sampler = QmcSampler(11, BOX)
        study.tell(study.ask(BOX), 0.0)
    shares = qmc.Sobol(3, scramble=True, seed=11).random(16)
    points = [trial.params for trial in study.trials]
    assert np.allclose([p["x"] for p in points], -1.0 + 4.0 * shares[:, 0])
    assert np.allclose([p["y"] for p in points], 10.0 ** (-2.0 + 2.0 * shares[:, 1]))
    assert [p["n"] for p in points].count(1) == 4


def test_words_are_spread_evenly_too() -> None:
    space = {"word": CategoricalDistribution(["a", "b", "c"])}
    study = optuna.create_study(sampler=QmcSampler(2, space, qmc_type="halton"))
    words = [study.ask(space).params["word"] for _ in range(30)]
    assert {word: words.count(word) for word in "abc"} == {"a": 10, "b": 10, "c": 10}


def test_every_point_is_tried_once_also_those_that_were_asked_for() -> None:
    space = {"n": IntDistribution(1, 4), "word": CategoricalDistribution(["a", "b"])}
    study = optuna.create_study(sampler=BruteForceSampler(3, space))
    study.enqueue_trial({"n": 2, "word": "b"})
    trials = [study.ask(space) for _ in range(8)]
    points = {tuple(trial.params.values()) for trial in trials}
    assert len(points) == 8


def test_a_sampler_of_ones_own_is_run_resumed_and_recorded() -> None:
    Path("own_samplers.py").write_text(
        "from optuna.samplers import RandomSampler\n"
        "def plain(seed, num_startup_trials, *, shift=0):\n"
        "    return RandomSampler(seed + shift)\n"
        "def odd(seed, num_startup_trials):\n"
        "    return RandomSampler()\n"
        "def none(seed, num_startup_trials):\n"
        "    return 3\n"
    )
    own = "search.sampler=own_samplers:plain"
    plain, shifted = tiny(own), tiny(own, "search.sampler_settings={shift=1}")
    first, second = (
        stock_study(one).ask(one.space.distributions()).params for one in (plain, shifted)
    )
    reference = tiny("search.sampler=random")
    assert first == stock_study(reference).ask(reference.space.distributions()).params
    assert first != second
    request = Request(definition="quick", settings=[own])
    plan = make_plan(resolve_location("sqlite:///x.db"), request)
    assert plan.code.keys() == {"own_samplers:plain"}
    for name, message in (
        ("odd", "with one seed, "),
        ("none", "a int"),
        ("gone", "no function"),
    ):
        with pytest.raises(DefinitionError, match=message):
            sampler_of(tiny(f"search.sampler=own_samplers:{name}"))
    with pytest.raises(DefinitionError, match="unexpected keyword argument 'shft'"):
        sampler_of(tiny(own, "search.sampler_settings={shft=1}"))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_sampler_of_ones_own_is_tried_on_a_study_of_as_many_objectives(count: int) -> None:
    Path(f"own_samplers_{count}.py").write_text(
        "from optuna.samplers import RandomSampler\n"
        "class Sampler(RandomSampler):\n"
        "    def infer_relative_search_space(self, study, trial):\n"
        f"        assert [len(one.values) for one in study.get_trials()[:2]] == [{count}] * 2\n"
        "        return super().infer_relative_search_space(study, trial)\n"
        "def counting(seed, num_startup_trials):\n"
        "    return Sampler(seed)\n"
    )
    settings = ("search.pruner=none", f"search.sampler=own_samplers_{count}:counting")
    if count > 1:
        settings += ("objective.kind=pareto",)
    if count > 2:
        settings += ("objective.downstream=true",)
    assert sampler_of(tiny(*settings)) is not None
