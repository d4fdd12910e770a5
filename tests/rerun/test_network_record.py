"""What is shown of a loaded network: what it is and how good, and never its weights."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fragments import ALLOWED, Reading
from support import TINY_ARGUMENTS, Outcome

import cvfp_opt
from cvfp_opt.rerun.loaded import LoadedNetwork

EVIL = "</div><script>alert(1)</script>"
FIXED = [
    word
    for setting in (
        "dist_reg_weight=0.5",
        "phase1_learning_rate=0.002",
        "phase1_convergence_threshold=0.5",
        "layernorm_mix=0.7",
    )
    for word in ("--set", f"space.{setting}")
]


@pytest.fixture
def network(invoke: Callable[..., Outcome]) -> LoadedNetwork:
    """One that `train --save` wrote."""
    outcome = invoke("train", "quick", *TINY_ARGUMENTS, *FIXED, "--threads", "1", "--save", "net")
    assert outcome.code == 0, outcome.err
    return cvfp_opt.load("net")


def with_account(network: LoadedNetwork, **changed: Any) -> LoadedNetwork:
    return replace(network, account=replace(network.account, **changed))


def test_a_network_is_its_sizes_its_score_and_its_judgement(network: LoadedNetwork) -> None:
    lines = repr(network).splitlines()
    metrics = network.account.result["iterations"][-1]
    untrained = network.account.result["audit"]["baseline"]["score"]
    sizes = f"contexts of D = 8, embeddings of E = 6 for {len(network.table)} tokens"
    assert lines[:3] == [
        "Network",
        f"  {sizes}, 1 layer, 238 parameters",
        f"  score {metrics['score']:.3f} (untrained {untrained:.3f})",
    ]
    assert lines[3].startswith(f"  It scores {metrics['score']:.3f}, ")
    assert len(repr(network)) < 700


def test_a_notebook_shows_the_same_with_its_audit(network: LoadedNetwork) -> None:
    seen = Reading(network._repr_html_())
    assert seen.elements <= ALLOWED
    assert "238 parameters It scores" in seen.text
    for figure in ("layernorm_mix 0.7", "mean norm of a context", "untrained net"):
        assert figure in seen.text


def test_one_of_the_hub_names_its_revision(network: LoadedNetwork) -> None:
    one = replace(network, revision="1a2b3c")
    assert repr(one).splitlines()[1].endswith("238 parameters; revision 1a2b3c")


def test_it_names_the_trial_that_it_is_of_and_flags(network: LoadedNetwork) -> None:
    audit = network.account.result["audit"] | {"near_zero": True}
    result = network.account.result | {"audit": audit}
    origin = network.account.origin | {"study": "mine", "trial": 3}
    one = with_account(network, result=result, origin=origin)
    assert repr(one).startswith("Network of trial 3 of study mine\n")
    assert "DEGENERATE: all contexts are near zero" in repr(one)
    assert "degenerate all contexts are near zero" in Reading(one._repr_html_()).text


@pytest.mark.parametrize(
    ("objective", "text", "figures"),
    [
        (
            {"split": "validation"},
            "iterations",
            ("validation_convergence_rate", "validation_effective_rank"),
        ),
        (
            {"convergence": "frozen", "threshold": 0.1},
            "frozen_train",
            ("convergence", "effective_rank"),
        ),
        (
            {"convergence": "frozen", "threshold": 0.01, "split": "held_out"},
            "frozen_held_out",
            ("convergence_strict", "effective_rank"),
        ),
    ],
)
def test_the_score_is_that_of_its_own_objective(
    network: LoadedNetwork, objective: dict[str, Any], text: str, figures: tuple[str, str]
) -> None:
    definition = replace(
        network.definition,
        objective=replace(network.definition.objective, **objective),
        search=replace(network.definition.search, pruner="none"),
    )
    result = network.account.result
    table = result["iterations"][-1] if text == "iterations" else result["audit"][text]
    expected = sum(table[name] for name in figures) / 2
    assert f"  score {expected:.3f} (" in repr(replace(network, definition=definition))


@pytest.mark.parametrize(
    "result",
    [
        {},
        {"audit": None, "iterations": []},
        {"audit": {"baseline": 1}, "iterations": [EVIL], "optimizer_steps": EVIL},
        {"audit": math.nan, "iterations": "none", "status": 3, "reason": [EVIL]},
    ],
)
def test_an_account_of_anybodys_is_shown_as_far_as_it_goes(
    network: LoadedNetwork, result: dict[str, Any]
) -> None:
    odd = with_account(network, result=result, origin={"study": EVIL, "trial": ["\x1b"] * 1000})
    assert "It carries no audit." in repr(odd)
    assert len(repr(odd)) < 500
    assert "\x1b" not in repr(odd)
    assert Reading(odd._repr_html_()).elements <= ALLOWED
