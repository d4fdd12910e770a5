"""Pruners by name: whom each ends, which settings it takes, and that a resumed study agrees."""

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import optuna
import pytest
from optuna.pruners import BasePruner, HyperbandPruner, SuccessiveHalvingPruner
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState, create_trial
from stock import stock_study, tiny

from cvfp_opt.errors import DefinitionError, StudyError
from cvfp_opt.tuning.custom_code import check_allowed, foreign_names, load_code
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.halving import HalvingPruner
from cvfp_opt.tuning.pruner_kinds import PRUNERS
from cvfp_opt.tuning.sampler_pruner import pruner_of

# settings that a pruner cannot do without
REQUIRED = {
    "percentile": "{percentile=25.0}",
    "patient": "{patience=1}",
    "threshold": "{lower=0.5}",
}
LONG = ("training.num_iterations=20", "search.num_pruner_startup_trials=2")


def naming(name: str, settings: str = "", *others: str) -> StudyDefinition:
    settings = settings or REQUIRED.get(name, "{}")
    own = (f"search.pruner={name}", f"search.pruner_settings={settings}")
    return tiny(*LONG, "search.num_pruner_warmup_steps=1", *others, *own)


def prunes(
    definition: StudyDefinition, others: Sequence[Sequence[float]], ours: Sequence[float]
) -> list[int]:
    """The iterations after which a trial would be ended that reports ``ours``, one by one."""
    study, pruner = optuna.create_study(direction="maximize"), pruner_of(definition)
    for values in others:
        add(study, values)
    found = []
    for step in range(1, len(ours)):
        add(study, ours[: step + 1], TrialState.RUNNING)
        if pruner.prune(study, study.get_trials()[-1]):
            found.append(step)
        study = without_last(study)
    return found


def add(
    study: optuna.Study, values: Sequence[float], state: TrialState = TrialState.COMPLETE
) -> None:
    iterations = [{"residual": 1.0, "effective_rank": value} for value in values]
    study.add_trial(
        create_trial(
            state=state,
            value=values[-1] if state is TrialState.COMPLETE else None,
            params={"phase1_convergence_threshold": 0.1},
            distributions={
                "phase1_convergence_threshold": optuna.distributions.FloatDistribution(0, 1)
            },
            intermediate_values=dict(enumerate(values)),
            user_attrs={"iterations": iterations},
        )
    )


def without_last(study: optuna.Study) -> optuna.Study:
    copy = optuna.create_study(direction="maximize")
    copy.add_trials(study.get_trials()[:-1])
    return copy


FLAT = [[level] * 20 for level in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)]


@pytest.mark.parametrize(
    ("name", "settings", "level", "expected"),
    [
        ("none", "", 0.0, []),
        ("asha", "", 0.15, [1, 2, 4, 8, 16]),
        ("asha", "", 0.55, []),
        ("asha", "{reduction_factor=4.0}", 0.55, [1, 2, 4, 8, 16]),
        ("median", "", 0.44, list(range(1, 20))),
        ("median", "", 0.46, []),
        ("median", "{n_min_trials=9}", 0.44, []),
        ("percentile", "{percentile=25.0}", 0.61, list(range(1, 20))),
        ("percentile", "{percentile=75.0}", 0.61, []),
        ("successive_halving", "", 0.65, [1, 4, 16]),
        ("successive_halving", "", 0.75, []),
        ("successive_halving", "{reduction_factor=2}", 0.45, [1, 2, 4, 8, 16]),
        ("successive_halving", "{min_early_stopping_rate=1}", 0.65, [4, 16]),
        ("threshold", "{lower=0.5}", 0.49, list(range(1, 20))),
        ("threshold", "{lower=0.5}", 0.51, []),
        ("threshold", "{upper=0.5}", 0.51, list(range(1, 20))),
    ],
)
def test_who_stays_on_one_level_is_ended_where_expected(
    name: str, settings: str, level: float, expected: list[int]
) -> None:
    assert prunes(naming(name, settings), FLAT, [level] * 20) == expected


def test_the_patient_wait_for_a_fall_and_for_another_pruner() -> None:
    rising, falling = [0.02 * n for n in range(20)], [0.4 - 0.02 * n for n in range(20)]
    assert prunes(naming("patient"), FLAT, rising) == []
    assert prunes(naming("patient"), FLAT, falling) == list(range(2, 20))
    assert prunes(naming("patient", "{patience=3}"), FLAT, falling) == list(range(4, 20))
    by_median = naming("patient", "{patience=1, wrapped_pruner='median'}")
    assert prunes(by_median, FLAT, falling) == list(range(2, 20))
    assert prunes(by_median, FLAT, [0.9 - 0.02 * n for n in range(20)]) == []


@pytest.mark.parametrize("name", PRUNERS)
def test_nobody_is_ended_before_the_warmup_or_with_too_few_to_compare(name: str) -> None:
    falling = [0.05 - 0.001 * n for n in range(20)]
    late = naming(name, "", "search.num_pruner_warmup_steps=5")
    found = prunes(late, FLAT, falling)
    assert all(step >= 5 for step in found)
    if name != "hyperband":  # whose brackets may begin later
        assert bool(found) == (name != "none")
    assert prunes(naming(name), FLAT[:1], falling) == []


@pytest.mark.parametrize("name", PRUNERS)
def test_a_study_resumed_in_pieces_ends_the_trials_that_the_uninterrupted_one_does(
    name: str,
) -> None:
    def run(counts: Sequence[int]) -> list[tuple[TrialState, int | None]]:
        storage = InMemoryStorage()
        definition = naming(name)
        for count in counts:
            study = stock_study(definition, storage=storage, study_name="s", load_if_exists=True)
            study.optimize(lambda trial: curve(trial, definition), n_trials=count)
        return [(trial.state, trial.last_step) for trial in study.trials]

    whole = run([24])
    assert run([5, 1, 10, 8]) == whole
    assert (TrialState.PRUNED in {state for state, _ in whole}) == (name != "none")


def curve(trial: optuna.Trial, definition: StudyDefinition) -> float:
    definition.space.suggest(trial)
    level, iterations = trial.params["dist_reg_weight"], []
    for step in range(20):
        value = level * (1.0 - 0.02 * step)
        iterations.append({"residual": 1.0, "effective_rank": value})
        trial.set_user_attr("iterations", iterations)
        trial.report(value, step)
        if step and trial.should_prune():
            raise optuna.TrialPruned
    return value


@pytest.mark.parametrize("eta", [2, 3])
def test_successive_halving_ends_whom_optunas_ends(eta: int) -> None:
    """Trials one after the other; Optuna's compares from the first on."""
    ended = []
    for pruner in (
        SuccessiveHalvingPruner(min_resource=2, reduction_factor=eta),
        HalvingPruner(num_startup_trials=0, min_resource=2, reduction_factor=eta),
    ):
        ended.append(run_random(pruner))
    assert ended[0] == ended[1]
    assert 0 < ended[0].count(20) < 60


def run_random(pruner: BasePruner) -> list[int]:
    study, rng = optuna.create_study(direction="maximize", pruner=pruner), random.Random(0)
    for _ in range(60):
        trial = study.ask()
        for step in range(1, 21):
            trial.report(rng.random(), step)
            if trial.should_prune():
                break
        study.tell(
            trial,
            0.0 if step == 20 else None,
            TrialState.COMPLETE if step == 20 else TrialState.PRUNED,
        )
    return [trial.last_step or 0 for trial in study.trials]


def test_brackets_are_as_many_and_as_full_as_optunas() -> None:
    definition = naming("hyperband", "{reduction_factor=3}")  # rungs 1, 3, 9 of 19
    pruner = pruner_of(definition)
    assert isinstance(pruner, HalvingPruner)
    theirs = HyperbandPruner(min_resource=1, max_resource=19, reduction_factor=3)
    study = optuna.create_study(pruner=theirs, study_name="s")
    theirs.prune(study, create_trial(value=0.0))
    assert pruner.num_brackets == theirs._n_brackets == 3  # type: ignore[attr-defined]
    share = [n / sum(theirs._trial_allocation_budgets) for n in theirs._trial_allocation_budgets]  # type: ignore[attr-defined]
    counts = Counter(pruner.bracket(number) for number in range(3000))
    assert [counts[b] / 3000 for b in range(3)] == pytest.approx(share, abs=0.03)


def test_a_bracket_compares_its_own_trials_from_its_own_rung_on() -> None:
    pruner = HalvingPruner(
        num_startup_trials=1, min_resource=1, reduction_factor=2, num_brackets=3, seed=4
    )
    study = optuna.create_study(direction="maximize")
    for _ in range(40):
        add(study, [0.5] * 20)
    by_bracket = {pruner.bracket(number): number for number in range(20, 40)}
    for bracket, number in by_bracket.items():
        first = 2**bracket
        for step in range(1, 9):
            copy = study.get_trials()[number]
            copy.intermediate_values = dict.fromkeys(range(step + 1), 0.1)
            assert pruner.prune(study, copy) == (step >= first and step in (1, 2, 4, 8))
    best_elsewhere = study.get_trials()[by_bracket[0]]
    best_elsewhere.intermediate_values = {0: 0.5, 1: 0.5}  # ties go on
    assert not pruner.prune(study, best_elsewhere)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("wilcoxon", "{}", "search.pruner: 'wilcoxon' is not offered: its test compares"),
        ("medain", "{}", "search.pruner: unknown pruner 'medain'; did you mean 'median'?"),
        (
            "percentile",
            "{interval_steps=2}",
            "search.pruner_settings: percentile is required; set",
        ),
        ("percentile", "{percentile=101.0}", "search.pruner_settings: Percentile must be between"),
        (
            "median",
            "{interval_step=2}",
            "interval_step: unknown setting; did you mean 'interval_s",
        ),
        ("median", "{interval_steps=0}", "search.pruner_settings: Pruning interval steps must be"),
        ("patient", "{}", "search.pruner_settings: patience is required"),
        ("patient", "{patience=-1}", "patience cannot be negative but got -1"),
        ("patient", "{patience=1, wrapped_pruner='patient'}", "unknown pruner 'patient'; valid"),
        ("patient", "{patience=1, wrapped_pruner='medain'}", "did you mean 'median'?"),
        ("threshold", "{}", "search.pruner_settings: lower or upper is required"),
        ("threshold", "{lower=0.5, upper=0.1}", "lower should be smaller than upper"),
        ("hyperband", "{reduction_factor=1}", "reduction_factor: at least 2 is required, got 1"),
        ("successive_halving", "{min_early_stopping_rate=-1}", "at least 0 is required, got -1"),
        ("asha", "{reduction_factor=1.0}", "reduction_factor: more than 1 is required, got 1"),
        ("none", "{n=1}", "search.pruner_settings.n: unknown setting; there are none"),
        ("asha", "{request=1}", "search.pruner_settings.request: unknown setting; valid: redu"),
    ],
)
def test_settings_are_checked_with_the_definition(name: str, settings: str, message: str) -> None:
    with pytest.raises(DefinitionError) as error:
        tiny(f"search.pruner={name}", f"search.pruner_settings={settings}")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_pruner_of_ones_own_is_tried_digested_and_allowed_by_name() -> None:
    Path("own_pruners.py").write_text(
        "from optuna.pruners import MedianPruner, NopPruner\n"
        "def plain(num_startup_trials, num_warmup_steps, *, steps=1):\n"
        "    return MedianPruner(num_startup_trials, num_warmup_steps, steps)\n"
        "class Odd(NopPruner):\n"
        "    def prune(self, study, trial):\n"
        "        return None\n"
        "def odd(num_startup_trials, num_warmup_steps):\n"
        "    return Odd()\n"
        "def none(num_startup_trials, num_warmup_steps):\n"
        "    return None\n"
    )
    definition = naming("own_pruners:plain", "{steps=1}")
    assert prunes(definition, FLAT, [0.44] * 20) == list(range(1, 20))
    assert prunes(definition, FLAT, [0.46] * 20) == []
    assert foreign_names(definition) == {"search.pruner": ["own_pruners:plain"]}
    assert load_code(definition).keys() == {"own_pruners:plain"}
    with pytest.raises(StudyError, match="add --allow-code"):
        check_allowed("s", definition, allowed=False)
    for name, message in (("odd", "None for whether to prune"), ("none", "a NoneType")):
        with pytest.raises(DefinitionError, match=message):
            load_code(naming(f"own_pruners:{name}", "{}"))
