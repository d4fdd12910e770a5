"""Products at each precision: what they mean, forward and backward, with and without bfloat16."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cvfp_opt.model import matrix_products as products
from cvfp_opt.model.config import ModelConfig
from cvfp_opt.model.matrix_products import PRODUCTS, bfloat16_linear, fast_linear
from cvfp_opt.model.network import ContextNetwork


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=[True, False], ids=["native", "emulated"])
def native(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the processor is taken to have bfloat16 (one that has not can do it, slowly)."""
    monkeypatch.setattr(products, "has_bfloat16", lambda device: request.param)
    return bool(request.param)


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_is_linear_within_its_precision(name: str) -> None:
    input, weight, bias = random(20, 64), random(48, 64, seed=1), random(48, seed=2)
    exact = F.linear(input.double(), weight.double(), bias.double())
    tolerance = {"float32": 1e-5, "bfloat16": 2.0**-7}[name]
    found = PRODUCTS[name](input, weight, bias)
    assert found.dtype == torch.float32
    assert (found - exact).norm() < tolerance * exact.norm()


def test_bfloat16_rounds_operands_and_result_and_nothing_else(native: bool) -> None:
    # exact in bfloat16, but only in a wider sum: 256 + 1 and its like would be lost
    input, weight = torch.full((3, 8), 1.0), torch.full((5, 8), 1.0)
    weight[:, 0] = 256.0
    found = bfloat16_linear(input, weight, torch.full((5,), 0.125))
    expected = (torch.tensor(263.0).bfloat16().float() + 0.125).item()  # 264.125
    assert found.tolist() == [[expected] * 5] * 3
    odd = torch.full((1, 1), 1.0 + 2.0**-10)
    assert bfloat16_linear(odd, odd, torch.zeros(1)).item() == 1.0


def test_gradients_are_products_of_rounded_matrices(native: bool) -> None:
    input = random(20, 64).requires_grad_()
    weight = random(48, 64, seed=1).requires_grad_()
    bias = random(48, seed=2).requires_grad_()
    outer = random(20, 48, seed=3)
    bfloat16_linear(input, weight, bias).backward(outer)

    def rounded(tensor: Tensor) -> Tensor:
        return tensor.detach().bfloat16().double()

    for found, expected in (
        (input.grad, rounded(outer) @ rounded(weight)),
        (weight.grad, rounded(outer).T @ rounded(input)),
    ):
        assert found is not None
        torch.testing.assert_close(found.double(), expected, rtol=2.0**-8, atol=1e-3)
    assert torch.equal(bias.grad, outer.sum(0))  # type: ignore[arg-type]


def test_both_ways_of_multiplying_bfloat16_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    input, weight, bias = random(20, 64), random(48, 64, seed=1), random(48, seed=2)
    found = []
    for native in (True, False):
        monkeypatch.setattr(products, "has_bfloat16", lambda device, native=native: native)
        found.append(bfloat16_linear(input, weight, bias))
    # the same but for the order of a sum, which can move a result to the next bfloat16
    torch.testing.assert_close(found[0], found[1], rtol=2.0**-7, atol=1e-6)
    assert (found[0] == found[1]).float().mean() > 0.9


def former_linear(input: Tensor, weight: Tensor, outer: Tensor) -> list[Tensor]:
    """Multiply as versions did that rounded by torch at each use, and return the gradients too."""
    rounded, matrix, back = input.bfloat16(), weight.bfloat16(), outer.bfloat16()

    def product(left: Tensor, right: Tensor) -> Tensor:
        if products.has_bfloat16(left.device):
            return (left @ right).to(input.dtype)
        return (left.float() @ right.float()).bfloat16().to(input.dtype)

    return [product(rounded, matrix.mT), product(back, matrix), product(back.mT, rounded)]


@pytest.mark.parametrize("stack", [(), (3,)], ids=["one", "stack"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_products_in_bfloat16_have_the_bits_that_they_had(
    stack: tuple[int, ...], dtype: torch.dtype, native: bool
) -> None:
    input = random(*stack, 20, 64).to(dtype).requires_grad_()
    weight = random(*stack, 48, 64, seed=1).to(dtype).requires_grad_()
    outer = random(*stack, 20, 48, seed=3).to(dtype)
    found = bfloat16_linear(input, weight, torch.zeros((), dtype=dtype))
    gradients = torch.autograd.grad(found, (input, weight), outer)
    expected = former_linear(input.detach(), weight.detach(), outer)
    for now, before in zip((found, *gradients), expected, strict=True):
        assert now.dtype == dtype
        assert torch.equal(now, before)


@pytest.mark.skipif(
    not products.has_kernels(torch.device("cpu")), reason="nothing is compiled, torch rounds"
)
def test_a_number_is_rounded_as_torch_rounds_it() -> None:
    edges = [0.0, -0.0, 1.00390625, 1.01171875, 3.4e38, 1e-40, math.inf, -math.inf, math.nan]
    for tensor in (torch.tensor(edges), random(1000) * torch.logspace(-38, 38, 1000)):
        for out in (torch.empty(len(tensor)), torch.empty(len(tensor), dtype=torch.bfloat16)):
            products._round_to(tensor, out)
            torch.testing.assert_close(
                out.float(), tensor.bfloat16().float(), rtol=0, atol=0, equal_nan=True
            )


@pytest.mark.parametrize("onednn", [True, False])
def test_the_fast_product_is_the_product(onednn: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_has_onednn", lambda: onednn)
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
        input, weight, bias = random(6, 64).to(dtype), random(48, 64).to(dtype), random(48)
        expected = F.linear(input.double(), weight.double(), bias.double())
        found = fast_linear(input, weight, bias.to(dtype))
        assert found.dtype == dtype
        torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)


def test_a_network_takes_the_same_step_at_both_precisions() -> None:
    config = ModelConfig(context_size=24, embedding_size=16, num_layers=3)
    network = ContextNetwork(config, layernorm_mix=0.9, generator=torch.Generator().manual_seed(0))
    context, token = random(30, 24), random(30, 16, seed=1)
    exact = network(context, token)
    rounded = network(context, token, bfloat16_linear)
    assert not torch.equal(exact, rounded)
    assert (exact - rounded).norm() < 0.02 * exact.norm()


def test_the_last_layers_token_rows_are_never_touched() -> None:
    config = ModelConfig(context_size=6, embedding_size=4, num_layers=2)
    network = ContextNetwork(config, layernorm_mix=1.0, generator=torch.Generator().manual_seed(0))
    network(random(5, 6), random(5, 4)).sum().backward()
    gradient = network.context_layers[-1].linear.weight.grad
    assert gradient is not None
    assert gradient[:6].abs().sum() > 0
    assert gradient[6:].abs().sum() == 0
    assert network.context_layers[-1].token_norm.weight.grad is None
