"""``study adopt``: what another program's study has and lacks, and going on with it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from known_studies import SPACE, complete, point
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial
from stock import optimized
from support import TINY_ARGUMENTS, Outcome

from cvfp_opt.store.record.records import MIRROR_OF, STUDY

Invoke = Callable[..., Outcome]
URL = "sqlite:///theirs.db"
ADOPT = ("study", "adopt", "theirs", "--storage", "theirs.db")
QUICK = ("--definition", "quick", *TINY_ARGUMENTS)
GO_ON = ("run", "--study-name", "theirs", "--storage", "theirs.db", "--threads", "1")


def bare(place: float, value: float, **changes: Any) -> optuna.trial.FrozenTrial:
    """A trial as the original's script leaves it: parameters and a value, nothing else."""
    params = {**point(place), **changes}
    wide: dict[str, BaseDistribution] = {name: FloatDistribution(-99.0, 99.0) for name in changes}
    return create_trial(value=value, params=params, distributions={**SPACE, **wide})


def theirs(*trials: optuna.trial.FrozenTrial, **options: Any) -> optuna.Study:
    made = {"direction": "maximize"} | options
    study = optuna.create_study(study_name="theirs", storage=URL, **made)
    study.add_trials(trials)
    return study


def attributes(study: optuna.Study) -> tuple[dict[str, Any], list[str] | None]:
    found = optuna.load_study(study_name=study.study_name, storage=URL)
    return found.user_attrs, found.metric_names


def test_a_study_of_parameters_and_values_is_gone_on_with(invoke: Invoke) -> None:
    theirs(bare(0.2, 0.6), bare(0.4, 0.7), create_trial(state=TrialState.FAIL))
    looked = invoke(*ADOPT)
    assert looked.code == 0, looked.err
    for said in (
        "record: none, another program made it",
        "objectives: maximize",
        "trials: 2 complete, 1 fail",
        "identity: 0 of 3 trials",
        "iterations: 0 of 3 trials",
        "audit: 0 of 2 trials; nobody can tell whether to believe the others",
        "digest of the weights: 0 of 2 trials",
        "parameter dist_reg_weight: in 2 of 3 trials, 0.1 to 0.9",
        "parameter phase1_learning_rate: in 2 of 3 trials, 0.0005 to 0.005 (log)",
    ):
        assert f"  {said}" in looked.out
    assert "study adopt --storage theirs.db --definition DEFINITION theirs`" in looked.out
    tried = invoke(*ADOPT, *QUICK, "--dry-run")
    assert tried.code == 0, tried.err
    assert "it can be adopted; nothing was written" in tried.out
    assert STUDY not in optuna.load_study(study_name="theirs", storage=URL).user_attrs

    done = invoke(*ADOPT, *QUICK)
    assert done.code == 0, done.err
    assert "adopted; to go on:  cvfp-opt run --study-name theirs --storage theirs.db" in done.out
    gone_on = invoke(*GO_ON, "--n-trials", "+2", "--n-jobs", "1")
    assert gone_on.code == 0, gone_on.err
    shown = json.loads(invoke("status", "--storage", "theirs.db", "--json").out)
    assert shown["counts"]["complete"] + shown["counts"]["pruned"] == 4
    assert shown["record"]["definition"]["model"]["context_size"] == 8
    best = invoke("best", "--storage", "theirs.db")
    assert best.code == 0
    assert "carries no audit" in " ".join(invoke("status", "--storage", "theirs.db").out.split())
    for words in (("trial", "show", "0"), ("study", "show", "theirs"), ("study", "doctor")):
        assert invoke(*words, "--storage", "theirs.db").code in (0, 1)
    report = invoke("report", "theirs", "--storage", "theirs.db", "-o", "page.html")
    assert report.code == 0, report.err
    again = invoke(*ADOPT, *QUICK)
    assert again.code == 1
    assert "it is a study of cvfp-opt already" in again.err


def test_what_is_there_is_counted(invoke: Invoke) -> None:
    theirs(complete(0.2, 0.9, 0.8), bare(0.3, 3.5))
    out = invoke(*ADOPT).out
    assert "audit: 1 of 2 trials" in out
    assert "values: from 0.85 to 3.5; those of cvfp-opt lie from 0 to 1" in out


def test_a_parameter_that_theirs_had_fixed_is_named(invoke: Invoke) -> None:
    three = {name: one for name, one in SPACE.items() if name != "layernorm_mix"}
    params = {name: value for name, value in point(0.2).items() if name in three}
    theirs(create_trial(value=0.5, params=params, distributions=three))
    lacking = invoke(*ADOPT, *QUICK, "--dry-run")
    assert lacking.code == 1
    assert "layernorm_mix: missing in 1 of 1 complete trials" in lacking.err
    assert "add --set space.layernorm_mix=VALUE" in lacking.err
    fixed = invoke(*ADOPT, *QUICK, "--set", "space.layernorm_mix=1")
    assert fixed.code == 0, fixed.err
    assert "missing in" not in fixed.out


def odd_trial(name: str, value: float) -> optuna.trial.FrozenTrial:
    return bare(0.2, 0.5, **{name: value})


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "minimized": (
        lambda: theirs(bare(0.2, 0.6), direction="minimize"),
        "objectives: one objective, maximized, required, got minimize",
    ),
    "two objectives": (
        lambda: theirs(direction=None, directions=["maximize"] * 2),
        "one objective, maximized, required, got maximize, maximize",
    ),
    "running": (
        lambda: theirs(bare(0.2, 0.6)).ask(),
        "`cvfp-opt trial fail 1 --study-name theirs --storage theirs.db`",
    ),
    "an unknown parameter": (
        lambda: theirs(odd_trial("momentum", 0.5)),
        "parameter momentum: no definition has one of that name",
    ),
    "a setting that is not searched": (
        lambda: theirs(odd_trial("training.gradient_clip", 0.5)),
        "training.gradient_clip: the study's space has no such parameter",
    ),
    "out of range": (
        lambda: theirs(odd_trial("dist_reg_weight", 0.95), odd_trial("dist_reg_weight", 0.95)),
        "trials 0, 1: dist_reg_weight: a number from 0.1 to 0.9 is required, got 0.95",
    ),
    "a linear range": (
        lambda: theirs(odd_trial("phase1_learning_rate", 0.001)),
        "Optuna cannot sample from both",
    ),
    "a mirror": (
        lambda: theirs().set_user_attr(MIRROR_OF, "another"),
        "it is a mirror of another study",
    ),
    "a confirmation": (
        lambda: theirs().set_user_attr("cvfp_opt:confirms", "another"),
        "it is a confirmation",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_gone_on_with_is_refused_and_left_as_it_is(
    what: str, invoke: Invoke
) -> None:
    make, why = REFUSED[what]
    make()
    before = optuna.load_study(study_name="theirs", storage=URL)
    outcome = invoke(*ADOPT, *QUICK)
    assert outcome.code == 1
    assert "study 'theirs' cannot be adopted; nothing was written:" in outcome.err
    assert why in outcome.err
    after = optuna.load_study(study_name="theirs", storage=URL)
    assert after.user_attrs == before.user_attrs
    assert after.metric_names is None


def test_newer_and_damaged_records_are_told_as_such(invoke: Invoke) -> None:
    study = theirs()
    for record, why in (({"format": 99}, "written by a newer"), ("x", "is damaged")):
        study.set_user_attr(STUDY, record)
        assert why in invoke(*ADOPT, *QUICK).err


def test_a_trial_that_begins_meanwhile_is_noticed(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The study is looked at again in the transaction that writes the record."""
    from cvfp_opt.tuning.definition import StudyDefinition

    study, load = theirs(bare(0.2, 0.6)), StudyDefinition.load_tokens

    def begin(self: StudyDefinition) -> Any:
        study.ask()
        return load(self)

    monkeypatch.setattr(StudyDefinition, "load_tokens", begin)
    outcome = invoke(*ADOPT, *QUICK)
    assert outcome.code == 1
    assert "trial 1 runs" in outcome.err
    assert STUDY not in attributes(study)[0]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_what_its_owner_named_stays(invoke: Invoke) -> None:
    study = theirs(bare(0.2, 0.6))
    study.set_metric_names(["worth"])
    study.set_user_attr("owner", "me")
    assert invoke(*ADOPT, *QUICK).code == 0
    found, names = attributes(study)
    assert found.keys() == {"owner", STUDY}
    assert names == ["worth"]


def test_what_is_mistyped_writes_nothing(invoke: Invoke) -> None:
    theirs(bare(0.2, 0.6))
    assert invoke(*ADOPT, "--seed", "3").code == 2
    assert "did you mean 'quick'" in invoke(*ADOPT, "--definition", "qick").err
    missing = invoke("study", "adopt", "ours", "--storage", "theirs.db")
    assert "did you mean" in missing.err or "valid: theirs" in missing.err
    assert "no such file" in invoke(*ADOPT, *QUICK, "--data", "none.txt").err
    assert STUDY not in optuna.load_study(study_name="theirs", storage=URL).user_attrs


def test_run_says_that_a_study_may_be_adopted(invoke: Invoke) -> None:
    theirs(bare(0.2, 0.6))
    err = invoke(*GO_ON, "quick", *TINY_ARGUMENTS).err
    assert "`cvfp-opt study adopt --storage theirs.db theirs`" in err


def test_strange_words_reach_no_terminal(invoke: Invoke) -> None:
    evil = "\x1b[31mred\n"
    space = {evil: FloatDistribution(0, 1)}
    theirs(create_trial(value=0.5, params={evil: 0.5}, distributions=space))
    outcome = invoke(*ADOPT, *QUICK)
    assert outcome.code == 1
    assert "\x1b" not in outcome.out + outcome.err


def test_a_study_of_the_objective_for_optuna_opens_as_one_of_ours(invoke: Invoke) -> None:
    study = optimized(3, study_name="theirs", storage=URL)
    assert "already" in invoke(*ADOPT, *QUICK).err
    assert "another program" not in invoke("list", "--storage", "theirs.db").out
    best = json.loads(invoke("best", "--storage", "theirs.db", "--json").out)
    assert best["value"] == study.best_value
    assert best["audit"]["context_norm"] > 0
    for words in (
        ("status",),
        ("trial", "show", "1"),
        ("study", "show", "theirs"),
        ("study", "doctor", "--repair"),
        ("trial", "replay", "1", "--threads", "1"),
        ("report", "theirs", "-o", "page.html"),
    ):
        outcome = invoke(*words, "--storage", "theirs.db")
        assert outcome.code == 0, (words, outcome.out, outcome.err)
    assert Path("page.html").stat().st_size > 1000
    gone_on = invoke(*GO_ON, "--n-trials", "5", "--n-jobs", "1")
    assert gone_on.code == 0, gone_on.err
    counts = json.loads(invoke("status", "--storage", "theirs.db", "--json").out)["counts"]
    assert counts["complete"] + counts["pruned"] == 5
    exported = invoke("study", "export", "theirs", "-o", "x.zip", "--storage", "theirs.db")
    assert exported.code == 0, exported.err
    assert invoke("study", "import", "x.zip", "--storage", "copy.db").code == 0
    copied = optuna.load_study(study_name="theirs", storage="sqlite:///copy.db")
    assert copied.trials[0].constraints == study.trials[0].constraints
