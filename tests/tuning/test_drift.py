"""Workers that differ from their study: ignored, reported, refused or allowed."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import create_trial
from support import TINY, TINY_ARGUMENTS, Outcome

from cvfp_opt.errors import StudyError
from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.store.database.storage import Store, open_for_search
from cvfp_opt.store.record.differences import DRIFT, read_drift
from cvfp_opt.tuning.drift import drift_lines, with_drift
from cvfp_opt.tuning.plan import Plan, Request, make_plan
from cvfp_opt.tuning.sampler_pruner import promise

Invoke = Callable[..., Outcome]
WORDS = "a b c d e f g h " * 60
HERE = {"versions": {"torch": "2.13.0"}, "host": "here", "device": "cpu", "threads": 2}


def plan_for(*settings: str, allow_drift: bool = False, **more: Any) -> Plan:
    more.setdefault("definition", "quick")
    own = TINY if more["definition"] else []
    request = Request(settings=[*own, *settings], allow_drift=allow_drift, **more)
    return make_plan(resolve_location("x.db"), request)


@contextmanager
def entered(plan: Plan, environment: dict[str, Any]) -> Iterator[tuple[Store, Any]]:
    with open_for_search(resolve_location("x.db")) as store:
        study, _ = plan.enter(store, environment)
        yield store, study


def lines(environment: dict[str, Any], *settings: str, **more: Any) -> list[str]:
    plan = plan_for(*settings, **more)
    with entered(plan, environment) as (_, study):
        return drift_lines(plan.drift(study, environment))


def test_the_same_and_the_harmless_are_silent() -> None:
    assert lines(HERE) == lines(HERE) == lines(HERE | {"host": "there", "commit": "abc"}) == []


def test_what_may_change_numbers_is_one_line_that_names_both_values() -> None:
    assert lines(HERE) == []
    assert lines(HERE | {"versions": {"torch": "2.14.0"}, "threads": 1}) == [
        "numbers may differ from those of the study's first worker: "
        "torch 2.14.0 (was 2.13.0), threads 1 (was 2)"
    ]


def test_another_definition_is_refused_with_three_ways_out() -> None:
    lines(HERE)
    with pytest.raises(StudyError) as error:
        plan_for("training.num_epochs=1", "space.layernorm_mix=1")
    assert str(error.value).splitlines() == [
        "study 'quick' was created with another definition:",
        "  space.layernorm_mix: the study has { low = 0.5, high = 1.0, log = false }, "
        "you asked for 1.0",
        "  training.num_epochs: the study has 2, you asked for 1",
        "Either start another study:  --study-name quick-2",
        "or go on with the study's own definition:  "
        "cvfp-opt run --study-name quick --storage x.db",
        "or go on all the same, which the study will tell for ever: --allow-drift",
    ]


def test_an_allowed_drift_is_told_by_the_study_for_ever() -> None:
    lines(HERE)
    changed = "training.num_epochs=1"
    said = ["drift allowed, and recorded in the study for ever: training.num_epochs"]
    assert lines(HERE, changed, allow_drift=True) == said
    assert lines(HERE, changed, allow_drift=True) == said
    assert lines(HERE) == []  # the frozen definition is still the study's
    lines(HERE, "training.num_epochs=3", allow_drift=True)
    with entered(plan_for(), HERE) as (_, study):
        first, second = read_drift(study)
    assert first.what == {"definition.training.num_epochs": [2, 1]}
    assert second.what == {"definition.training.num_epochs": [2, 3]}
    assert first.who == second.who
    assert "@" in first.who
    assert 0 < first.when <= second.when


def test_what_stood_in_the_list_stays_in_it() -> None:
    lines(HERE)
    with entered(plan_for(), HERE) as (_, study):
        study.set_user_attr(DRIFT, [{"of": "a newer version"}])
    lines(HERE, "training.num_epochs=1", allow_drift=True)
    with entered(plan_for(), HERE) as (_, study):
        assert study.user_attrs[DRIFT][0] == {"of": "a newer version"}
        assert len(read_drift(study)) == 1


def test_a_study_created_otherwise_since_the_plan_was_made() -> None:
    late = plan_for("training.num_epochs=1")
    allowed = plan_for("training.num_epochs=3", allow_drift=True)
    lines(HERE)
    with open_for_search(resolve_location("x.db")) as store:
        with pytest.raises(StudyError, match=r"training\.num_epochs: the study has 2"):
            late.enter(store, HERE)
        study, created = allowed.enter(store, HERE)
        assert not created
        assert [one.what for one in read_drift(study)] == [
            {"definition.training.num_epochs": [2, 3]}
        ]


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ("search.seed=0", "search.seed=3", "search.seed: the study has 0, you asked for 3"),
        (
            'space.diversity.loss=["orthogonality", "coding_rate"]',
            'space.diversity.loss=["orthogonality", "pairwise_distance"]',
            "Optuna cannot sample from both",
        ),
        (
            "space.phase1_learning_rate={low=0.001,high=0.002}",
            "space.phase1_learning_rate={low=0.001,high=0.002,log=true}",
            "Optuna cannot sample from both",
        ),
    ],
)
def test_what_one_study_cannot_hold_is_refused_even_so(before: str, after: str, why: str) -> None:
    lines(HERE, before)
    with pytest.raises(StudyError, match=r"--allow-drift cannot allow this") as error:
        plan_for(after, allow_drift=True)
    assert why in str(error.value)
    assert "trial enqueue --study-name quick-2 --from-study quick" in str(error.value)


def test_two_objectives_and_one_do_not_mix() -> None:
    lines(HERE, "search.pruner=none")
    with pytest.raises(StudyError, match="one study has one number of objectives"):
        plan_for("search.pruner=none", "objective.kind=pareto", allow_drift=True)


def test_choices_of_an_earlier_drift_count_too(run_tiny: Invoke, invoke: Invoke) -> None:
    def drifted(*choices: str) -> Outcome:
        choice = f"space.diversity.loss={json.dumps(choices)}"
        words = [*TINY_ARGUMENTS, "--set", choice, "--n-trials", "+1", "--threads", "1"]
        return invoke("run", "quick", *words, "--allow-drift")

    run_tiny("--n-trials", "1")
    assert drifted("orthogonality", "coding_rate").code == 0
    refused = drifted("orthogonality", "pairwise_distance")
    assert refused.code == 1
    assert "Optuna cannot sample from both" in refused.err


def test_another_text_is_refused_or_allowed_and_told() -> None:
    Path("a.txt").write_text(WORDS)
    Path("b.txt").write_text(WORDS.replace("a", "z"))
    lines(HERE, data="a.txt")
    with pytest.raises(StudyError, match=r"created with another text.*--allow-drift"):
        plan_for(data="b.txt")
    plan = plan_for(data="b.txt", allow_drift=True)
    with entered(plan, HERE) as (_, study):
        environment = with_drift(HERE, plan.drift(study, HERE), plan.definition, plan.tokens)
    drift = environment["drift"]
    assert drift["data_digest"] == drift["keys"]["data"] == plan.tokens.digest
    assert drift["located"]["data.path"].endswith("b.txt")
    assert environment["host"] == "here"


def test_trials_tell_what_they_were_trained_by(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "1", "--n-jobs", "1")
    wide = "space.layernorm_mix=1"
    words = ["--set", "training.num_epochs=1", "--set", wide, "--n-trials", "3", "--n-jobs", "1"]
    out = run_tiny(*words, "--allow-drift").out
    assert "drift allowed, and recorded in the study for ever: " in out
    status = invoke("status").out
    assert "trials 0: torch " in status
    drifted = "drift allowed in space.layernorm_mix, training.num_epochs"
    assert f"; 1-2: torch {status.split('torch ')[1].split(',')[0]}, cpu, {drifted}" in status
    assert "drift allowed by " in status
    report = json.loads(invoke("status", "--json").out)
    assert report["record"]["definition"]["training"]["num_epochs"] == 2
    [late] = [trial for trial in report["best"] if trial["number"] == 2]
    assert late["environment"]["drift"]["keys"]["definition.training.num_epochs"] == 1
    assert "layernorm_mix" not in late["params"]


def test_the_winner_as_a_definition_is_the_one_it_was_trained_by(
    run_tiny: Invoke, invoke: Invoke
) -> None:
    run_tiny("--timeout", "0")
    fixed = ["--set", "training.num_epochs=1", "--set", "space.layernorm_mix=1"]
    run_tiny("--n-trials", "1", *fixed, "--allow-drift")
    toml = invoke("best", "--toml").out
    assert "num_epochs = 1" in toml
    assert "layernorm_mix = 1.0" in toml
    assert "layernorm_mix                     1 (fixed)" in invoke("best").out


def test_a_trial_without_a_threshold_promises_nothing_to_one_that_searches_it() -> None:
    lines(HERE, "space.phase1_convergence_threshold=0.3")
    ranged = "space.phase1_convergence_threshold={low=0.1,high=0.5}"
    plan = plan_for(ranged, allow_drift=True)
    trial = create_trial(
        value=1.0,
        user_attrs={"iterations": [{"residual": 0.5, "effective_rank": 0.5}]},
    )
    assert promise(plan.definition, trial, 0) is None
