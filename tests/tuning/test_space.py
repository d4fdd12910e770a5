"""Searching over settings: any way to write them, one name for each, and every corner checked."""

import math
from typing import Any

import optuna
import pytest
import tomlkit

from cvfp_opt.errors import DefinitionError, PointError
from cvfp_opt.store.record.definition_sections import with_parameters
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.definition_file import resolve_definition
from cvfp_opt.tuning.space import SETTINGS, FloatRange, IntRange

STAGES = """
[space]
dist_reg_weight = 0.5
schedule.stage_weights = [{ low = 0.5, high = 0.9 }, 0.4, { low = 0.1, high = 0.3 }]
diversity.loss = ["orthogonality", "deviation"]
training.num_epochs = { low = 1, high = 4 }

[schedule]
kind = "staged"
"""


def resolve(toml: str, *settings: str) -> StudyDefinition:
    return resolve_definition(tomlkit.parse(toml).unwrap(), settings, where="mine.toml")


def test_settings_are_named_by_section_key_and_place() -> None:
    definition = resolve(STAGES)
    assert dict(definition.space.settings) == {
        "schedule.stage_weights[0]": FloatRange(low=0.5, high=0.9),
        "schedule.stage_weights[2]": FloatRange(low=0.1, high=0.3),
        "diversity.loss": ("orthogonality", "deviation"),
        "training.num_epochs": IntRange(low=1, high=4),
    }
    assert definition.schedule.stage_weights == (0.8, 0.4, 0.2)  # the constant went home


def test_settings_survive_toml_and_json_round_trips() -> None:
    definition = resolve(STAGES)
    again = StudyDefinition.from_dict(definition.to_dict())
    assert (again, again.digest()) == (definition, definition.digest())
    assert resolve(tomlkit.dumps(definition.to_dict())) == definition


def test_a_searched_setting_can_be_fixed_or_changed_on_the_command_line() -> None:
    fixed = resolve(STAGES, "space.diversity.loss=deviation", "space.training.num_epochs=3")
    assert (fixed.diversity.loss, fixed.training.num_epochs) == ("deviation", 3)
    assert "diversity.loss" not in fixed.space.searched
    changed = resolve(STAGES, "space.schedule.stage_weights[0]={low=0.6,high=0.7}")
    assert changed.space.searched["schedule.stage_weights[0]"] == FloatRange(low=0.6, high=0.7)
    assert "space.diversity.loss" not in fixed.flat()


def test_a_trial_chooses_each_dimension_and_the_definition_at_it_searches_nothing() -> None:
    definition = resolve(STAGES)
    trial = optuna.create_study().ask()
    params = definition.space.suggest(trial)
    assert set(params) == set(definition.space.searched)
    assert definition.space.distributions() == trial.distributions
    fixed = definition.at(params)
    assert fixed.space.searched == {}
    assert fixed.diversity.loss == params["diversity.loss"]
    assert fixed.training.num_epochs == params["training.num_epochs"]
    weights = fixed.schedule.stage_weights
    assert weights == (
        params["schedule.stage_weights[0]"],
        0.4,
        params["schedule.stage_weights[2]"],
    )
    assert fixed.hyperparameters().layernorm_mix == params["layernorm_mix"]


def test_some_parameters_leave_the_others_searched() -> None:
    definition = resolve(STAGES).at({"diversity.loss": "deviation", "layernorm_mix": 1.0})
    assert definition.diversity.loss == "deviation"
    assert set(definition.space.searched) == {
        "phase1_learning_rate",
        "phase1_convergence_threshold",
        "schedule.stage_weights[0]",
        "schedule.stage_weights[2]",
        "training.num_epochs",
    }
    with pytest.raises(DefinitionError, match="these are searched: phase1_learning_rate"):
        definition.hyperparameters()


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("schedule.kind", "os:system", "the study's space has no such parameter"),
        ("data.path", "/dev/zero", "the study's space has no such parameter"),
        ("momentum", 0.5, "the study's space has no such parameter"),
        ("diversity.loss", "os:system", "one of orthogonality, deviation is required, got os:sys"),
        (
            "diversity.loss",
            ["deviation"],
            "one of orthogonality, deviation is required, got ['dev",
        ),
        ("schedule.stage_weights[1]", 0.5, "the study's space has no such parameter"),
        ("training.num_epochs", 9, "a number from 1 to 4 is required, got 9"),
        ("training.num_epochs", True, "a number from 1 to 4 is required, got True"),
        ("layernorm_mix", math.nan, "a number from 0.5 to 1.0 is required, got nan"),
        ("layernorm_mix", 10**400, "a number from 0.5 to 1.0 is required, got 1000"),
        ("layernorm_mix", "0.5", "a number from 0.5 to 1.0 is required, got 0.5"),
        ("dist_reg_weight", 0.7, "the study fixes it at 0.5, got 0.7"),
    ],
)
def test_no_trial_is_trained_outside_of_what_is_searched(name: str, value: Any, why: str) -> None:
    with pytest.raises(PointError) as error:
        resolve(STAGES).at({name: value})
    assert str(error.value).startswith(f"no point of the study's space: {name}: {why}")


def test_a_bound_that_rounding_misses_is_still_a_bound() -> None:
    rate = StudyDefinition().space.phase1_learning_rate
    assert isinstance(rate, FloatRange)
    for bound in (rate.low, rate.high):
        for missed in (math.nextafter(bound, 0), bound, math.nextafter(bound, 1)):
            StudyDefinition().at({"phase1_learning_rate": missed})


def test_parameters_go_where_they_belong_without_changing_the_definition_given() -> None:
    definition: dict[str, Any] = {
        "space": {"layernorm_mix": {"low": 0.5, "high": 1.0}, "a.b[1]": {"low": 0, "high": 1}},
        "a": {"b": [1, 2, 3], "c": 4},
    }
    result = with_parameters(definition, {"layernorm_mix": 0.7, "a.b[1]": 9})
    assert result == {"space": {"layernorm_mix": 0.7}, "a": {"b": [1, 9, 3], "c": 4}}
    assert definition["a"]["b"] == [1, 2, 3]


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_a_key_of_its_section(name: str) -> None:
    section, _, key = name.partition(".")
    assert key in StudyDefinition().to_dict()[section]


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (
            "schedule.stage_weight = [0.1]",
            "space.schedule.stage_weight: unknown key; did you mean",
        ),
        ("model.num_layers = { low = 1, high = 3 }", "space.model: unknown key"),
        ("data.train_tokens = { low = 64, high = 99 }", "space.data: unknown key"),
        ('diversity.loss = ["deviation"]', "a list of at least two different words"),
        ('diversity.loss = ["deviation", "deviation"]', "a list of at least two different words"),
        ('diversity.loss = ["deviation", 3]', "a list of at least two different words"),
        ('diversity.loss = ["deviation", "ortogonality"]', "did you mean 'orthogonality'?"),
        ('"diversity.loss[0]" = "deviation"', "diversity.loss is no list"),
        ("schedule.stage_weights = 0.5", "a list with one entry per place is required"),
        ('"schedule.stage_weights[x]" = 0.5', 'a place is written "schedule.stage_weights[0]"'),
        ("schedule.stage_weights = [0.1, 0.2, 0.3, 0.4]", "has the places 0 to 2"),
        (
            "schedule.balanced_weight = { low = 0.5, high = 1.5 }",
            "schedule.balanced_weight: a number in [0, 1] is required, got 1.5",
        ),
        ("schedule.balanced_weight = { low = 0.5, high = 0.1 }", "low < high must hold"),
        ("training.num_epochs = { low = 1.5, high = 3 }", "a whole number or { low = ..."),
        ("training.num_epochs = { low = -1, high = 3 }", "num_epochs: at least 0 is required"),
        ("training.minibatch_size = { low = 64, high = 9999 }", "minibatch_size <= data.train"),
    ],
)
def test_a_bad_setting_is_refused_when_the_definition_is_read(space: str, message: str) -> None:
    with pytest.raises(DefinitionError) as error:
        resolve(f"[space]\n{space}\n")
    assert message in str(error.value)


def test_choices_that_do_not_fit_together_are_refused_with_the_choice() -> None:
    toml = (
        '[training]\ntrainer = "online"\nlearning_rate_schedule = "constant"\n'
        'precision = "float32"\ntraining_pass = "exact"\n'
        '[diversity]\nloss = "deviation"\n'
    )
    space = '[space]\ndiversity.loss = ["deviation", "orthogonality"]\n'
    with pytest.raises(DefinitionError, match=r"compares .* at diversity\.loss = orthogonality"):
        resolve(toml + space)
