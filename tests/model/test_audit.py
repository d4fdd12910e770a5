"""The audit on networks and contexts whose figures are known."""

import json
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cvfp_opt.model.audit import (
    AuditTexts,
    Baseline,
    Movement,
    audit_network,
    degeneracy,
    frozen_text,
)
from cvfp_opt.model.config import ModelConfig
from cvfp_opt.model.lyapunov import lyapunov_exponent
from cvfp_opt.model.matrix_products import Product
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.model.passes import sequential_pass, zero_context


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Linear(nn.Module):
    """``c -> a c + x``: its Lyapunov exponent is ``log a``."""

    def __init__(self, a: float) -> None:
        super().__init__()
        self.a = a

    def forward(self, context: Tensor, token: Tensor, product: Product | None = None) -> Tensor:
        return self.a * context + token


@pytest.mark.parametrize("a", [0.5, 0.9, 1.1])
def test_the_exponent_of_a_linear_map_is_the_log_of_its_factor(a: float) -> None:
    contexts, tokens = random(100, 4), random(100, 4, seed=1)
    exponent = lyapunov_exponent(
        Linear(a),  # type: ignore[arg-type]
        tokens.double(),
        contexts.double(),
        torch.Generator().manual_seed(0),
    )
    assert exponent == pytest.approx(math.log(a), abs=1e-6)


def test_a_map_that_forgets_at_once_has_the_exponent_minus_infinity() -> None:
    tokens = random(60, 4)
    generator = torch.Generator().manual_seed(0)
    assert lyapunov_exponent(Linear(0.0), tokens, tokens, generator) == -math.inf  # type: ignore[arg-type]


def test_healthy_contexts_carry_no_flag() -> None:
    assert not any(degeneracy(random(200, 16), random(200, 16, seed=1)).values())


def test_each_degeneracy_raises_its_flag() -> None:
    tokens = random(200, 16, seed=1)
    attractor = degeneracy(random(1, 16).expand(200, -1) + 1e-4 * random(200, 16), tokens)
    assert attractor == {"global_attractor": True, "near_zero": False, "identity_map": False}
    zero = degeneracy(1e-3 * random(200, 16), tokens)
    assert (zero["near_zero"], zero["global_attractor"]) == (True, False)
    copy = degeneracy(3 * tokens + 0.1 * random(200, 16), tokens)
    assert copy == {"global_attractor": False, "near_zero": False, "identity_map": True}


def test_contexts_of_another_width_copy_nothing() -> None:
    assert not degeneracy(random(50, 8), random(50, 16))["identity_map"]


def test_equal_reads_agree_and_scale_does_not_matter() -> None:
    contexts = random(100, 8)
    assert frozen_text(contexts, contexts).convergence_strict == 1.0
    moved = contexts + 0.5 * random(100, 8, seed=2)
    big, small = frozen_text(contexts, moved), frozen_text(1e-3 * contexts, 1e-3 * moved)
    assert 0 < big.convergence < 1
    assert big.convergence == small.convergence
    assert (big.absolute_convergence < 0.5, small.absolute_convergence) == (True, 1.0)


BASELINE = Baseline(
    convergence_rate=0.0,
    effective_rank=0.9,
    validation_convergence_rate=0.0,
    validation_effective_rank=0.8,
    score=0.45,
)


@pytest.mark.parametrize(("gain", "contracts"), [(1.2, True), (8.0, False)])
def test_the_audit_tells_a_net_that_forgets_from_a_chaotic_one(
    gain: float, contracts: bool
) -> None:
    config = ModelConfig(context_size=64, embedding_size=64, num_layers=3)
    generator = torch.Generator().manual_seed(0)
    network = ContextNetwork(config, layernorm_mix=1.0, generator=generator)
    with torch.no_grad():
        for layer in network.context_layers:
            layer.linear.weight.mul_(gain)
    train, held_out = (
        F.layer_norm(random(300, 64), (64,)),
        F.layer_norm(random(60, 64, seed=3), (64,)),
    )
    contexts = sequential_pass(network, train, zero_context(network))
    counted: list[int] = []
    report = audit_network(
        network,
        AuditTexts(train=train, held_out=held_out, num_validation=60),
        contexts=contexts,
        moved=Movement(residuals=torch.linspace(0, 0.4, 300), power=0.5),
        moved_validation=Movement(residuals=torch.linspace(0, 1, 60), power=2.0),
        previous_held_out=sequential_pass(network, held_out, zero_context(network)),
        baseline=BASELINE,
        generator=generator,
        on_tokens=counted.append,
    )
    assert counted[-1] == 300 + 2 * 60
    assert (report.lyapunov_exponent is not None and report.lyapunov_exponent < 0) == contracts
    for frozen in (report.frozen_train, report.frozen_validation, report.frozen_held_out):
        assert (frozen.convergence > 0.7) == contracts  # the first tokens of a read forget last
    assert report.absolute_convergence == pytest.approx(0.25)
    assert report.scale_free_convergence == pytest.approx(0.125, abs=0.002)  # 0.1 * power
    assert report.training_validation.absolute == pytest.approx(0.1)
    assert report.training_validation.scale_free == pytest.approx(0.2)
    assert (report.training_held_out.scale_free > 0.5) == contracts
    assert report.context_norm == pytest.approx(8.0, rel=0.05)  # unit power: sqrt(D)
    json.dumps(report.to_dict(), allow_nan=False)
