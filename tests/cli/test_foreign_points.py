"""Points that another program enqueued: those that cannot be run fail, and workers go on."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    distribution_to_json,
)
from optuna.trial import TrialState, create_trial
from support import TINY_ARGUMENTS, Outcome

pytestmark = pytest.mark.usefixtures("figures")
Invoke = Callable[..., Outcome]

# What is enqueued, and what the reason of the failure names.
POINTS: dict[str, tuple[dict[str, Any], str]] = {
    "far out of range": ({"dist_reg_weight": 99}, "dist_reg_weight"),
    "a little out of range": ({"dist_reg_weight": 0.95}, "from 0.1 to 0.9"),
    "a word": ({"dist_reg_weight": "foo"}, "foo"),
    "a number as a word": ({"dist_reg_weight": "0.5"}, "0.5"),
    "an unknown name": ({"dist_reg_wait": 0.5}, "dist_reg_wait"),
    "code": ({"diversity.loss": "notes:loss"}, "diversity.loss"),
    "a list": ({"layernorm_mix": [1]}, "layernorm_mix"),
    "a table": ({"layernorm_mix": {"low": 1}}, "layernorm_mix"),
    "nothing": ({"layernorm_mix": None}, "layernorm_mix"),
    "a truth value": ({"layernorm_mix": True}, "layernorm_mix"),
    "NaN": ({"layernorm_mix": float("nan")}, "layernorm_mix"),
    "infinity": ({"layernorm_mix": float("inf")}, "layernorm_mix"),
    "400 digits": ({"layernorm_mix": 10**400}, "layernorm_mix"),
    "a negative rate": ({"phase1_learning_rate": -1}, "phase1_learning_rate"),
    "half a surrogate pair": ({"layernorm_mix": "\ud800"}, "layernorm_mix"),
}
# What waiting trials say of themselves.
ATTRIBUTES: dict[str, tuple[dict[str, Any], str]] = {
    "points that are a list": ({"fixed_params": [1]}, "fixed_params"),
    "points that are nothing": ({"fixed_params": None}, "fixed_params"),
    "no identity": ({"cvfp_opt:birth": {"uuid": 3}}, "cvfp_opt:birth"),
    "no run of a confirmation": ({"cvfp_opt:arm": [1, 2]}, "cvfp_opt:arm"),
}
# How the parameters lie that a waiting trial has already; stock Optuna keeps no other kind.
OTHER_SPACES = (
    FloatDistribution(0, 100),
    CategoricalDistribution(["a", "b"]),
)


@pytest.fixture
def study(run_tiny: Invoke) -> optuna.Study:
    """A study of ours with one trial, open in stock Optuna; its pruner is off."""
    run_tiny("--n-trials", "1", "--set", "search.pruner=none")
    return optuna.load_study(study_name="quick", storage="sqlite:///storage/cvfp.db")


@pytest.mark.filterwarnings("ignore::UserWarning")  # of Optuna, over what is none of its kinds
def test_what_cannot_be_run_fails_with_a_reason(
    study: optuna.Study, invoke: Invoke, isolated_folder: Path
) -> None:
    for point, _ in POINTS.values():
        study.enqueue_trial(point)
    for attributes, _ in ATTRIBUTES.values():
        study.add_trial(create_trial(state=TrialState.WAITING, system_attrs=attributes))
    name, wide = "dist_reg_weight", FloatDistribution(0, 100)
    for distribution in OTHER_SPACES:
        study.add_trial(
            create_trial(state=TrialState.WAITING, params={name: 1.0}, distributions={name: wide})
        )
        with sqlite3.connect("storage/cvfp.db") as connection:
            connection.execute(
                "UPDATE trial_params SET distribution_json = ? WHERE param_id = "
                "(SELECT max(param_id) FROM trial_params)",
                (distribution_to_json(distribution),),
            )
        connection.close()
    study.enqueue_trial({"dist_reg_weight": 0.5})
    study.enqueue_trial({})

    reasons = [why for _, why in (*POINTS.values(), *ATTRIBUTES.values())]
    before = invoke("study", "doctor")
    assert before.code == 1
    for number, why in enumerate(reasons, 1):
        if why == "cvfp_opt:birth":  # the check of identities tells of it
            continue
        [line] = [one for one in before.out.splitlines() if f"trial {number}: waits" in one]
        assert why in line
        assert f"trial fail {number}" in line

    bad = len(reasons) + len(OTHER_SPACES)
    for command in (["status"], ["report", "-o", "r.html"], ["trial", "show", "1"]):
        assert invoke(*command).code == 0
    run = ("run", "--study-name", "quick", "--n-jobs", "1", "--threads", "1")
    outcome = invoke(*run, "--n-trials", str(bad + 4))
    assert outcome.code == 0, outcome.err
    trials = study.get_trials()
    states = [trial.state for trial in trials]
    assert states[1 : bad + 1] == [TrialState.FAIL] * bad
    assert states[bad + 1 :] == [TrialState.COMPLETE] * 3
    for trial, why in zip(trials[1:], reasons, strict=False):
        assert trial.user_attrs["status"] == "refused"
        assert why in trial.user_attrs["reason"]
        assert len(trial.user_attrs["reason"]) < 400
    assert trials[bad + 1].params["dist_reg_weight"] == 0.5
    assert "waits" not in invoke("study", "doctor").out
    again = invoke("trial", "enqueue", "--retry", "1")
    assert again.code == 1
    assert "cannot be repeated" in again.err
    json.loads(invoke("status", "--json").out)


def test_a_history_out_of_the_range_is_no_hindrance(study: optuna.Study, invoke: Invoke) -> None:
    """Of trials that another program added: the sampler looks at them."""
    [first] = study.get_trials()
    for place, value in enumerate((float("inf"), float("-inf"), 0.5, 3.0)):
        params = first.params | {"dist_reg_weight": 99.0 * place}
        wide = first.distributions | {"dist_reg_weight": FloatDistribution(0, 1000)}
        study.add_trial(create_trial(value=value, params=params, distributions=wide))
    study.add_trial(create_trial(value=1.0))  # of no parameter at all
    words = ["--set", "search.num_startup_trials=2"]
    outcome = invoke(
        "run", "quick", *TINY_ARGUMENTS, *words, "--set", "search.pruner=none", "--allow-drift",
        "--n-trials", "9", "--n-jobs", "1", "--threads", "1",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert {trial.state for trial in study.get_trials()[6:]} == {TrialState.COMPLETE}
