"""Points of another study: in range and equal, or refused."""

from typing import Any

import pytest

from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.definition_file import resolve_definition
from cvfp_opt.tuning.point_fitting import fit, fixed_value

DEFINITION: StudyDefinition = resolve_definition(
    {},
    [
        "space.layernorm_mix=0.5",
        'space.diversity.loss=["orthogonality", "coding_rate"]',
        "space.training.num_epochs={low=1,high=4}",
        "space.schedule.stage_weights[0]={low=0.5,high=0.9}",
        "schedule.kind=staged",
    ],
    where="here",
)


@pytest.mark.parametrize(
    ("point", "params"),
    [
        ({"dist_reg_weight": 0.1}, {"dist_reg_weight": 0.1}),
        ({"dist_reg_weight": 0.9, "layernorm_mix": 0.5}, {"dist_reg_weight": 0.9}),
        ({"training.num_epochs": 3.0}, {"training.num_epochs": 3}),
        ({"diversity.loss": "coding_rate"}, {"diversity.loss": "coding_rate"}),
        ({"schedule.stage_weights[0]": 0.6}, {"schedule.stage_weights[0]": 0.6}),
        # not searched, and held by a section of its own
        ({"dist_reg_weight": 0.5, "training.minibatch_size": 256}, {"dist_reg_weight": 0.5}),
    ],
)
def test_a_point_that_fits(point: dict[str, Any], params: dict[str, Any]) -> None:
    fitted = fit(DEFINITION, point)
    assert (fitted.params, fitted.notes, fitted.problems) == (params, [], [])
    for name, value in params.items():
        assert type(fitted.params[name]) is type(value)


@pytest.mark.parametrize(
    ("point", "problem"),
    [
        ({"dist_reg_weight": 0.95}, "dist_reg_weight: 0.95 lies outside of its range [0.1, 0.9]"),
        ({"dist_reg_weight": "high"}, 'dist_reg_weight: a number is required, got "high"'),
        ({"dist_reg_weight": True}, "dist_reg_weight: a number is required, got true"),
        ({"dist_reg_weight": float("nan")}, "a number is required, got NaN"),
        ({"dist_reg_weight": None}, "a number is required, got none"),
        ({"training.num_epochs": 2.5}, "training.num_epochs: a whole number is required, got 2.5"),
        ({"diversity.loss": "coding_rat"}, "did you mean 'coding_rate'?"),
        ({"diversity.loss": None}, "diversity.loss: none: valid: coding_rate, orthogonality"),
        ({"layernorm_mix": 0.6}, "layernorm_mix: fixed here at 0.5, the point has 0.6"),
        ({"training.minibatch_size": 8}, "fixed here at 256, the point has 8"),
        ({"layernorm_mx": 0.5}, "layernorm_mx: unknown here; did you mean 'layernorm_mix'?"),
        ({"schedule.stage_weights[9]": 0.5}, "schedule.stage_weights[9]: unknown here"),
        ({"training.num_epoch": 3}, "did you mean 'training.num_epochs'?"),
        ({"layernorm_mix": 0.5}, "the point says nothing of what is searched here"),
        ({}, "the point says nothing of what is searched here (dist_reg_weight,"),
    ],
)
def test_a_point_that_does_not(point: dict[str, Any], problem: str) -> None:
    [found] = fit(DEFINITION, point).problems
    assert problem in found


def test_numbers_are_clipped_when_that_is_asked_for_and_only_numbers() -> None:
    point = {"dist_reg_weight": 7, "training.num_epochs": 0, "phase1_learning_rate": 0.001}
    fitted = fit(DEFINITION, point, clip=True)
    assert fitted.params == {
        "dist_reg_weight": 0.9,
        "training.num_epochs": 1,
        "phase1_learning_rate": 0.001,
    }
    assert fitted.notes == [
        "dist_reg_weight = 7 clipped to 0.9: its range is [0.1, 0.9]",
        "training.num_epochs = 0 clipped to 1: its range is [1, 4]",
    ]
    for name, value in (("diversity.loss", "deviation"), ("layernorm_mix", 0.4)):
        assert fit(DEFINITION, {name: value}, clip=True).problems


def test_what_is_unknown_is_left_out_when_that_is_asked_for() -> None:
    fitted = fit(DEFINITION, {"dist_reg_weight": 0.5, "momentum": 0.9}, ignore=True)
    assert fitted.params == {"dist_reg_weight": 0.5}
    assert fitted.notes == ["momentum = 0.9 left out: unknown here"]
    assert fit(DEFINITION, {"layernorm_mix": 0.6}, ignore=True).problems


def test_fixed_values_are_found_where_they_are() -> None:
    assert fixed_value(DEFINITION, "layernorm_mix") == 0.5
    assert fixed_value(DEFINITION, "training.trainer") == "batch"
    assert fixed_value(DEFINITION, "schedule.stage_weights[1]") == 0.5
    for name in ("dist_reg_weight", "nothing", "training.nothing", "training[0]", "x[y]"):
        assert fixed_value(DEFINITION, name) is None
