"""The matrix products of a layer, at the precision that a definition names.

``float32`` (or whatever the weights are) is torch's own. ``bfloat16`` rounds operands and results
to bfloat16 and accumulates in float32, forward and backward; weights, gradients of the whole and
everything between the products stay float32. It means the same arithmetic on every processor:
where the processor has no instructions for it, rounded operands are multiplied in float32.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


class Product(Protocol):
    """``input @ weight.T + bias``: (..., N), (M, N), (M,) -> (..., M), as F.linear."""

    def __call__(self, input: Tensor, weight: Tensor, bias: Tensor) -> Tensor: ...


@cache
def has_bfloat16(device: torch.device) -> bool:
    """Check whether the device multiplies bfloat16 matrices faster than float32 ones."""
    if device.type != "cpu":
        return True
    instructions = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return bool(instructions and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _rounded_product(left: Tensor, right: Tensor) -> Tensor:
    """Multiply bfloat16 matrices or stacks of them; the result is rounded to bfloat16."""
    if has_bfloat16(left.device):
        return left @ right
    return (left.float() @ right.float()).bfloat16()


class _RoundedLinear(torch.autograd.Function):
    """``input @ weight.T`` of (B, N) and (M, N), or stacks of both, and its gradients."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor) -> Tensor:
        rounded, rounded_weight = input.bfloat16(), weight.bfloat16()
        ctx.save_for_backward(rounded, rounded_weight)
        return _rounded_product(rounded, rounded_weight.mT).to(input.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor]:
        rounded, rounded_weight = ctx.saved_tensors
        outer = gradient.bfloat16()
        to_input = None
        if ctx.needs_input_grad[0]:
            to_input = _rounded_product(outer, rounded_weight).to(gradient.dtype)
        return to_input, _rounded_product(outer.mT, rounded).to(gradient.dtype)


def bfloat16_linear(input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Apply ``F.linear`` with the product in bfloat16 and the bias in the input's precision."""
    product: Tensor = _RoundedLinear.apply(input, weight)
    return product + bias


def fast_linear(input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Apply ``F.linear`` without gradient, by oneDNN where it can: on AMD twice as fast as MKL.

    The same product, summed in another order: for what need not have the bits of former versions.
    """
    if input.device.type == "cpu" and input.dtype == torch.float32 and _has_onednn():
        found: Tensor = torch.ops.mkldnn._linear_pointwise(input, weight, bias, "none", [], "")
        return found
    return F.linear(input, weight, bias)


@cache
def _has_onednn() -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def stacked_linear(input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Apply ``F.linear`` to each of S: (S, B, N), (S, M, N), (S, 1, M) -> (S, B, M)."""
    return torch.baddbmm(bias, input, weight.mT)


PRODUCTS: Mapping[str, Product] = {"float32": F.linear, "bfloat16": bfloat16_linear}
STACKED_PRODUCTS: Mapping[str, Product] = {
    "float32": stacked_linear,
    "bfloat16": bfloat16_linear,
}
"""Products of stacks of matrices, see ``stacked_linear``."""
