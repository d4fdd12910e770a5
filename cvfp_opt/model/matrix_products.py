"""The matrix products of a layer, at the precision that a definition names.

``float32`` (or whatever the weights are) is torch's own. ``bfloat16`` rounds operands and results
to bfloat16 and accumulates in float32, forward and backward; weights, gradients of the whole and
everything between the products stay float32. It means the same arithmetic on every processor:
where the processor has no instructions for it, rounded operands are multiplied in float32.
"""

import os
from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


class Product(Protocol):
    """``input @ weight.T + bias``: (..., N), (M, N), (M,) -> (..., M), as F.linear."""

    def __call__(self, input: Tensor, weight: Tensor, bias: Tensor) -> Tensor: ...


def has_kernels(device: torch.device) -> bool:
    """Check whether compiled kernels are to be used: on a CPU, unless NUMBA_DISABLE_JIT=1."""
    return device.type == "cpu" and os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")


@cache
def has_bfloat16(device: torch.device) -> bool:
    """Check whether the device multiplies bfloat16 matrices faster than float32 ones."""
    if device.type != "cpu":
        return True
    instructions = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return bool(instructions and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def rounded(tensor: Tensor) -> Tensor:
    """Round to bfloat16, as a tensor of the kind that the device multiplies.

    That is bfloat16, or, where the processor has no instructions for it, float32.
    """
    if has_bfloat16(tensor.device):
        return tensor.bfloat16()
    if not _has_kernel(tensor):
        return tensor.bfloat16().float()
    found = torch.empty_like(tensor)
    _round_to(tensor, found)
    return found


def _rounded_product(left: Tensor, right: Tensor, dtype: torch.dtype) -> Tensor:
    """Multiply what ``rounded`` gave, or stacks of it; the result is rounded to bfloat16 too."""
    product = left @ right
    if product.dtype == torch.float32 and _has_kernel(product):
        _round_to(product, product)
        return product.to(dtype)
    return product.bfloat16().to(dtype)


def _has_kernel(tensor: Tensor) -> bool:
    """Check whether ``round_words`` can round a tensor to float32 numbers."""
    plain = tensor.dtype == torch.float32 and tensor.is_contiguous()
    return plain and has_kernels(tensor.device)


def _round_to(tensor: Tensor, out: Tensor) -> None:
    """Round a float32 tensor to bfloat16 into ``out``, of either type, in one sweep."""
    from cvfp_opt.model.compiled_adam import round_words

    round_words(*words_of(tensor, out))


def words_of(tensor: Tensor, out: Tensor) -> tuple[Any, Any, int]:
    """Return the arguments of ``round_words`` for a float32 tensor, and one to round it to."""
    half = out.dtype == torch.bfloat16
    kind, shift = (torch.int16, 16) if half else (torch.int32, 0)
    words = tensor.detach().view(-1).view(torch.int32).numpy().view(np.uint32)
    bits = out.detach().view(-1).view(kind).numpy()
    return words, bits.view(np.uint16 if half else np.uint32), shift


class _RoundedLinear(torch.autograd.Function):
    """``input @ weight.T`` of (B, N) and (M, N), or stacks of both, and its gradients.

    ``operand`` is the weight as ``rounded`` gives it.
    """

    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, operand: Tensor) -> Tensor:
        rounded_input = rounded(input)
        ctx.save_for_backward(rounded_input, operand)
        return _rounded_product(rounded_input, operand.mT, input.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, None]:
        rounded_input, operand = ctx.saved_tensors
        outer = rounded(gradient)
        to_input = None
        if ctx.needs_input_grad[0]:
            to_input = _rounded_product(outer, operand, gradient.dtype)
        return to_input, _rounded_product(outer.mT, rounded_input, gradient.dtype), None


def rounded_linear(input: Tensor, weight: Tensor, bias: Tensor, operand: Tensor) -> Tensor:
    """Apply ``bfloat16_linear`` with a weight that is rounded already: ``operand``."""
    product: Tensor = _RoundedLinear.apply(input, weight, operand)
    return product + bias


def bfloat16_linear(input: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Apply ``F.linear`` with the product in bfloat16 and the bias in the input's precision."""
    return rounded_linear(input, weight, bias, rounded(weight.detach()))


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
