"""The compiled clip and Adam give torch's bits; where they might not, torch itself steps."""

import math
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cvfp_opt.model import matrix_products as products
from cvfp_opt.model.config import ModelConfig
from cvfp_opt.model.matrix_products import PRODUCTS
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.model.rounded_weights import RoundedWeights
from cvfp_opt.training import optimizer as module
from cvfp_opt.training.batch import train_batch
from cvfp_opt.training.events import ignore
from cvfp_opt.training.optimizer import ClippedAdam, kernel_is_torchs

compiled = pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"), reason="nothing is compiled"
)
CONFIG = ModelConfig(context_size=48, embedding_size=32, num_layers=3)
BATCH = 24


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_network(config: ModelConfig = CONFIG) -> ContextNetwork:
    return ContextNetwork(config, layernorm_mix=1.0, generator=torch.Generator().manual_seed(0))


def batches(count: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    for _ in range(count):
        yield (
            torch.randn(BATCH, 48, generator=generator),
            torch.randn(BATCH, 32, generator=generator),
            torch.randn(BATCH, 48, generator=generator),
        )


Step = Callable[[torch.optim.Adam, ContextNetwork], Callable[[], float]]


def torchs(adam: torch.optim.Adam, network: ContextNetwork) -> Callable[[], float]:
    def step() -> float:
        norm = nn.utils.clip_grad_norm_(network.parameters(), 0.7).item()
        adam.step()
        return norm

    return step


def ours(adam: torch.optim.Adam, network: ContextNetwork) -> Callable[[], float]:
    return ClippedAdam(adam, 0.7).step


def trained(steps: int, kind: Step, precision: str = "float32") -> tuple[dict[str, Any], Any]:
    network = make_network()
    adam = torch.optim.Adam(network.parameters(), lr=1e-2, fused=True)
    step, norms = kind(adam, network), []
    for at, (context, token, target) in enumerate(batches(steps)):
        adam.param_groups[0]["lr"] = 1e-2 / (1 + at)  # as a schedule changes it
        adam.zero_grad(set_to_none=True)
        F.mse_loss(network(context, token, PRODUCTS[precision]), target).backward()
        norms.append(step())
    return {"weights": network.state_dict(), "adam": adam.state_dict()}, norms


@compiled
def test_fifty_compiled_steps_are_torchs_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    if not kernel_is_torchs():
        pytest.skip("this torch rounds otherwise on this processor, and steps itself")
    called: list[int] = []
    kernel = ClippedAdam._step_compiled

    def counted(self: ClippedAdam, parameters: list[Tensor], factor: float) -> None:
        called.append(len(parameters))
        kernel(self, parameters, factor)

    monkeypatch.setattr(ClippedAdam, "_step_compiled", counted)
    (expected, norms), (found, found_norms) = trained(50, torchs), trained(50, ours)
    assert called == [3 * 2 + 5 * 2] * 49  # the first is torch's, which makes the moments
    assert found_norms == norms
    assert min(norms) < 0.7 < max(norms), "some are clipped, and some are not"
    for name, value in expected["weights"].items():
        assert torch.equal(found["weights"][name], value), name
    for index, state in expected["adam"]["state"].items():
        for key, value in state.items():
            assert torch.equal(found["adam"]["state"][index][key], value), (index, key)


@compiled
def test_the_kernel_is_used_where_the_suite_runs() -> None:
    # else the test above says nothing; on other processors the answer may be no
    if torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512"):
        assert kernel_is_torchs()


def test_a_processor_that_rounds_otherwise_is_left_to_torch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "kernel_is_torchs", lambda: False)
    monkeypatch.setattr(ClippedAdam, "_step_compiled", None)  # a call would raise
    (expected, norms), (found, found_norms) = trained(5, torchs), trained(5, ours)
    assert found_norms == norms
    for name, value in expected["weights"].items():
        assert torch.equal(found["weights"][name], value), name


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_no_step_is_taken_by_a_broken_gradient(broken: float) -> None:
    network = make_network()
    adam = torch.optim.Adam(network.parameters(), lr=1e-2, fused=True)
    clipped = ClippedAdam(adam, 1.0)
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    clipped.step()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    next(network.parameters()).grad[0, 0] = broken  # type: ignore[index]
    assert not math.isfinite(clipped.step())
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert {float(state["step"]) for state in adam.state.values()} == {1.0}


@compiled
def test_copies_in_bfloat16_are_kept_up_to_date_by_the_step() -> None:
    network = make_network()
    adam = torch.optim.Adam(network.parameters(), lr=1e-2, fused=True)
    rounded = RoundedWeights(network)
    clipped = ClippedAdam(adam, 1.0, rounded)
    for context, token, target in batches(4):
        adam.zero_grad(set_to_none=True)
        F.mse_loss(network(context, token, rounded.linear), target).backward()
        clipped.step()
        for layer in network.context_layers:
            weight = layer.linear.weight
            copy = rounded.copy_of(weight)
            assert copy is not None
            if adam.state[weight]["step"] > 1:  # the first step is torch's
                assert torch.equal(copy.float(), weight.detach().bfloat16().float())


def test_copies_are_made_anew_after_a_step_of_torchs_and_after_a_restore() -> None:
    network = make_network()
    adam = torch.optim.Adam(network.parameters(), lr=1e-2, fused=True)
    rounded = RoundedWeights(network)
    former = {name: value.clone() for name, value in network.state_dict().items()}
    [(context, token, target)] = batches(1)
    exact = PRODUCTS["bfloat16"]
    seen = []
    for change in (ClippedAdam(adam, 1.0, rounded).step, lambda: network.load_state_dict(former)):
        adam.zero_grad(set_to_none=True)
        F.mse_loss(network(context, token, rounded.linear), target).backward()
        change()
        found = network(context, token, rounded.linear)
        assert torch.equal(found, network(context, token, exact))
        seen.append(found)
    assert not torch.equal(*seen)


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "torch"])
def test_a_run_in_bfloat16_has_the_bits_that_it_had_before(
    kernels: bool, make_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The former way: torch's clip and Adam, each matrix rounded where it is multiplied."""
    settings = {
        "dtype": torch.float32,
        "sizes": (32, 16),
        "precision": "bfloat16",
        "training_pass": "segments",
    }
    if not kernels:
        monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    now = train_batch(make_run(**settings), ignore, lambda metrics: False)
    monkeypatch.setattr(ClippedAdam, "_is_for_kernel", lambda self, parameters: False)
    monkeypatch.setattr(
        RoundedWeights, "linear", lambda self, *arguments: PRODUCTS["bfloat16"](*arguments)
    )
    monkeypatch.setattr(products, "_has_kernel", lambda tensor: False)
    before = train_batch(make_run(**settings), ignore, lambda metrics: False)
    assert now.weights_digest == before.weights_digest
    assert now.iterations == before.iterations
