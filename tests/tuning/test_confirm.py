"""The points and the runs of a confirmation."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from doctoring import RECORD
from searching import make_search
from support import TINY

from cvfp_opt.errors import StudyError
from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.store.database.storage import open_for_search
from cvfp_opt.store.queue.claims import Claims
from cvfp_opt.store.record.confirmation import DEFAULT, FRESH, UNTRAINED
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import Summary
from cvfp_opt.training.device import resolve_device
from cvfp_opt.tuning.confirm import choose_points, default_point, enter_runs
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.definition_file import (
    builtin_definitions,
    read_sections,
    resolve_definition,
)
from cvfp_opt.tuning.drift import with_point_changes
from cvfp_opt.tuning.environment import describe_environment
from cvfp_opt.tuning.objective import Objective
from cvfp_opt.tuning.plan import Request, make_plan


def tiny(name: str, *settings: str) -> StudyDefinition:
    size = [*TINY, "search.num_pruner_warmup_steps=1", *settings]
    return resolve_definition(read_sections(name), size, where=name)


def searched(definition: StudyDefinition, *trials: TrialRecord) -> Summary:
    record = replace(RECORD, definition=definition.to_dict())
    return Summary(name="s", url="sqlite:///s.db", record=record, trials=list(trials))


def trial(number: int, value: float, **attrs: Any) -> TrialRecord:
    return TrialRecord(number=number, state="complete", value=value, values=[value], **attrs)


def test_the_default_point_is_the_middle_of_each_range_on_its_scale() -> None:
    assert default_point(tiny("recommended")) == {
        "dist_reg_weight": 0.5,
        "phase1_learning_rate": pytest.approx(math.sqrt(0.0005 * 0.005)),
        "phase1_convergence_threshold": pytest.approx(0.275),
        "layernorm_mix": 0.75,
    }


def test_the_default_point_is_what_a_setting_s_own_section_says() -> None:
    assert default_point(tiny("losses"))["diversity.loss"] == "orthogonality"
    adaptive = default_point(tiny("adaptive"))
    assert adaptive["schedule.rank_limit"] == 0.8
    assert adaptive["schedule.low_convergence_weight"] == 0.2
    staged = default_point(tiny("staged"))
    assert [staged[f"schedule.stage_weights[{i}]"] for i in range(3)] == [0.8, 0.5, 0.2]
    elsewhere = tiny("quick", "space.training.num_epochs={low=3, high=6}")
    assert default_point(elsewhere)["training.num_epochs"] == 4  # 2 is not searched
    words = tiny("losses", 'space.diversity.loss=["uniformity", "deviation"]')
    assert default_point(words)["diversity.loss"] == "uniformity"


@pytest.mark.parametrize("name", sorted(builtin_definitions()))
def test_every_definition_has_a_default_point_and_an_untrained_net(name: str) -> None:
    """Both are run; the untrained net takes no step, whatever the trainer."""
    definition = tiny(name, "search.pruner=none")
    confirmed, notes = choose_points(searched(definition, trial(0, 0.5)), definition, 1)
    assert notes == []
    points = {point.key: point for point in confirmed[1:]}
    tokens = definition.load_tokens()
    device = resolve_device("cpu")
    steps = {}
    for key in (DEFAULT, UNTRAINED):
        changes = points[key].changes
        other, _, environment = with_point_changes(
            definition, tokens, describe_environment(device, 1), changes
        )
        assert environment["drift"]["definition_digest"] == other.digest()
        objective = Objective(definition=other, tokens=tokens, device=device)
        steps[key] = objective(points[key].params, FRESH, seed=3).optimizer_steps
    assert steps[UNTRAINED] == 0
    assert steps[DEFAULT] > 0


@pytest.mark.parametrize(
    "more",
    [
        (),
        (  # which needs two numbers to search
            "search.sampler=cmaes",
            "space.dist_reg_weight=0.5",
            "space.phase1_convergence_threshold=0.3",
            "space.layernorm_mix=0.9",
        ),
    ],
)
def test_an_untrained_net_where_epochs_are_searched(more: tuple[str, ...]) -> None:
    definition = tiny("quick", "space.training.num_epochs={low=1, high=3}", *more)
    confirmed, _ = choose_points(searched(definition, trial(0, 0.5)), definition, 1)
    tokens = definition.load_tokens()
    other, _, _ = with_point_changes(definition, tokens, {}, confirmed[-1].changes)
    assert confirmed[-1].params.keys() == other.space.searched.keys()
    objective = Objective(definition=other, tokens=tokens, device=resolve_device("cpu"))
    assert objective(confirmed[-1].params, FRESH, seed=3).optimizer_steps == 0


def test_all_are_measured_by_the_winner_s_threshold() -> None:
    own = {"phase1_convergence_threshold": 0.45}
    trials = trial(0, 0.5), trial(1, 0.9, params=own)
    definition = tiny("quick")
    confirmed, _ = choose_points(searched(definition, *trials), definition, 2)
    assert [point.label for point in confirmed] == [
        "trial 1",
        "trial 0",
        "default point",
        "untrained net",
    ]
    for point in confirmed[2:]:
        assert point.params["phase1_convergence_threshold"] == 0.45
    fixed = tiny("quick", "objective.threshold=0.5")
    confirmed, _ = choose_points(searched(fixed, *trials), fixed, 1)
    assert confirmed[1].params["phase1_convergence_threshold"] == pytest.approx(0.275)


def test_the_winner_s_threshold_comes_with_the_range_that_it_was_searched_in() -> None:
    key, definition = "space.phase1_convergence_threshold", tiny("quick")
    drift = {"keys": {f"definition.{key}": {"low": 0.6, "high": 0.9, "log": False}}}
    own = {"phase1_convergence_threshold": 0.8}
    best = trial(0, 0.9, params=own, environment={"drift": drift})
    confirmed, _ = choose_points(searched(definition, best), definition, 1)
    for point in confirmed:
        assert point.params["phase1_convergence_threshold"] == 0.8
        other, _, _ = with_point_changes(definition, definition.load_tokens(), {}, point.changes)
        assert other.at(point.params).space.phase1_convergence_threshold == 0.8


def test_a_drifted_trial_is_run_by_its_own_definition_or_left_out() -> None:
    def drifted(number: int, **keys: Any) -> TrialRecord:
        names = {key.replace("__", "."): value for key, value in keys.items()}
        return trial(number, 0.9 - number / 10, environment={"drift": {"keys": names}})

    definition = tiny("quick")
    trials = (
        drifted(0, definition__training__num_epochs=7),
        drifted(1, definition__objective__split="validation"),
        drifted(2, data="f" * 64),
    )
    confirmed, notes = choose_points(searched(definition, *trials), definition, 3)
    assert confirmed[0].changes == {"training.num_epochs": 7}
    assert [point.label for point in confirmed] == ["trial 0", "default point", "untrained net"]
    assert notes == [
        "trial 1 is left out: it was scored by another objective.split",
        "trial 2 is left out: it was scored by another data",
    ]


def test_changes_bring_no_code_that_nobody_allowed() -> None:
    definition = tiny("quick")
    with pytest.raises(StudyError, match="names code that its study does not: os:system"):
        with_point_changes(
            definition, definition.load_tokens(), {}, {"diversity.loss": "os:system"}
        )


def test_a_change_of_the_text_brings_its_tokens_and_their_digest() -> None:
    definition = tiny("quick")
    tokens = definition.load_tokens()
    other, moved, environment = with_point_changes(
        definition, tokens, {}, {"data.first_token": 80}
    )
    assert other.data.first_token == 80
    assert not torch.equal(moved.train, tokens.train)
    drift = environment["drift"]
    assert drift["data_digest"] == drift["keys"]["data"] == moved.digest != tokens.digest


def test_the_files_of_all_points_have_one_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvfp_opt.tuning.trial_files.TIMES_COST", 1e9)
    with open_for_search(resolve_location("x.db")) as store:
        searched = make_search(store)
        searched.run(1)
        request = Request(study_name="quick", confirms=True)
        summary = Summary.of(searched.study, "here")
        plan = make_plan(store.location, request)
        entered = enter_runs(store, plan, summary, {}, top=1, num_seeds=2)
        confirmed = replace(
            make_search(store),
            study=entered.study,
            claims=Claims(store=store, study=entered.study, seed=0),
        )
        confirmed.run(entered.total)
        trials = entered.study.trials
    assert len(trials) == 6
    assert len({str(trial.system_attrs["cvfp_opt:arm"]["changes"]) for trial in trials}) > 1
    names = [key for trial in trials for key in trial.system_attrs if key.startswith("artifacts:")]
    assert len(names) == 2  # picture and table of the first trial
