"""The original report's three checks, on networks whose verdict is known."""

import pytest
import torch
from support import TINY
from torch import Tensor
from torch.nn import functional as F

from cvfp_opt.model.config import ModelConfig
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.single.verify import (
    PROTOCOLS,
    Check,
    Protocol,
    check_network,
    reduced,
    verify_definition,
    verify_network,
)
from cvfp_opt.tuning.definition_file import resolve_definition
from cvfp_opt.tuning.objective import Objective

POINT = [
    "space.dist_reg_weight=0.85",
    "space.phase1_learning_rate=0.002",
    "space.phase1_convergence_threshold=0.5",
    "space.layernorm_mix=1.0",
]


def random_text(tokens: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return F.layer_norm(torch.randn(tokens, width, generator=generator), (width,))


def network_of(gain: float, mix: float = 1.0) -> ContextNetwork:
    generator = torch.Generator().manual_seed(0)
    network = ContextNetwork(
        ModelConfig(context_size=64, embedding_size=64, num_layers=3),
        layernorm_mix=mix,
        generator=generator,
    )
    with torch.no_grad():
        for layer in network.context_layers:
            layer.linear.weight.mul_(gain)
    return network


def verdicts(checks: list[Check]) -> dict[str, bool]:
    return {check.name: check.passed for check in checks}


def test_a_chaotic_net_has_rank_but_does_not_converge() -> None:
    checks = check_network(network_of(8.0), {"train": random_text(300, 64)}, {}, "agree")
    assert verdicts(checks) == {
        "effective rank / D": True,
        "no identity map": True,
        "convergence rate": False,
    }


def test_a_net_that_ignores_its_tokens_converges_but_has_no_rank() -> None:
    network = network_of(1.0)
    with torch.no_grad():
        for layer in network.context_layers:
            layer.linear.weight.zero_()
            layer.linear.bias[:64] = random_text(1, 64)[0] * 10
    checks = check_network(network, {"train": random_text(300, 64)}, {}, "agree")
    assert verdicts(checks) == {
        "effective rank / D": False,
        "no identity map": True,
        "convergence rate": True,
    }


def test_the_rate_measured_in_training_counts_where_there_is_one() -> None:
    [*_, check] = check_network(
        network_of(8.0), {"train": random_text(100, 64)}, {"train": 0.51}, "moved less"
    )
    assert (check.figure, check.passed, check.meaning) == (0.51, True, "tokens that moved less")


def test_little_text_lowers_the_limit_on_the_rank() -> None:
    [rank, *_] = check_network(network_of(8.0), {"train": random_text(32, 64)}, {}, "agree")
    assert rank.limit == ">= 40.0%"
    assert "50.0% is the most" in rank.meaning


def test_a_net_that_explodes_fails_with_its_place() -> None:
    network = network_of(1.0, mix=0.0)
    with torch.no_grad():
        for layer in network.context_layers:
            layer.linear.weight.abs_()
    [check] = check_network(network, {"train": random_text(200, 64)}, {}, "agree")
    assert (check.name, check.passed) == ("reading", False)
    assert check.meaning.startswith("context of size")


def test_a_definition_is_trained_under_the_protocol() -> None:
    definition = resolve_definition({}, [*TINY, *POINT, "search.pruner=none"], where="x")
    protocol = Protocol(train_tokens=96, num_iterations=3)
    assert reduced(definition, protocol).data.train_tokens == 96
    checks, result = verify_definition(definition, protocol)
    assert len(result.iterations) <= 3
    assert [c.split for c in checks] == ["train"] * 3 + ["validation"] * 3
    assert checks[2].figure == result.iterations[-1].convergence_rate


def test_a_definition_that_diverges_fails_and_says_why() -> None:
    settings = [*TINY, *POINT, "search.pruner=none", "space.phase1_learning_rate=1e38"]
    definition = resolve_definition({}, settings, where="x")
    [check], _ = verify_definition(definition, Protocol(train_tokens=96, num_iterations=3))
    assert (check.name, check.passed) == ("training", False)
    assert "diverged" in check.meaning


@pytest.mark.parametrize(("name", "tokens"), [("quick", 100), ("standard", 6400)])
def test_the_protocols_are_the_reports(name: str, tokens: int) -> None:
    definition = reduced(resolve_definition({}, POINT, where="x"), PROTOCOLS[name])
    assert definition.data.train_tokens == tokens
    assert definition.data.num_validation == tokens // 5
    assert definition.training.minibatch_size == min(256, tokens)


def test_a_trials_network_is_checked_with_its_own_embeddings() -> None:
    definition = resolve_definition({}, [*TINY, *POINT, "search.pruner=none"], where="x")
    protocol = Protocol(train_tokens=96, num_iterations=3)
    small = reduced(definition, protocol)
    objective = Objective(definition=small, tokens=small.load_tokens(), device=torch.device("cpu"))
    run = objective.prepare({}, 3, seed=5)
    texts = {"train": run.train, "validation": run.held_out}
    expected = [check.figure for check in check_network(run.network, texts, {}, "agree")]

    def figures(**identity: int) -> list[float | None]:
        found = verify_network(run.network, definition, protocol, **identity)
        return [check.figure for check in found]

    assert figures(seed=5, number=3) == expected
    assert figures() != expected
