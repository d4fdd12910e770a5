"""The sequential pass as one compiled kernel: what the plain one computes, several times faster.

A token needs every weight once, so a pass is bound by memory: product, ReLU, residual and
LayerNorm are fused, the first layer's token half is one product for all tokens, and the last
layer's token rows, which nothing uses, are left out. It runs on one thread: sharing each
product among two needs a barrier six times a token, and those collapse (ten times slower) as soon
as anything else wants a processor.
"""

from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from cvfp_opt.model.network import ContextNetwork

Array = NDArray[Any]

# Sums may be reordered (else nothing is vectorised); NaN and infinity keep their meaning.
_FAST = {"reassoc", "contract", "nsz", "arcp"}


@njit(cache=True, error_model="numpy", fastmath=_FAST)
def _relu_product(weight: Array, vector: Array, base: Array, out: Array) -> None:
    """``out = relu(weight @ vector + base)``.

    One row at a time: measured 40 GB/s of weights, against 25 for four rows at a time.
    """
    for i in range(weight.shape[0]):
        total = base[i]
        for j in range(weight.shape[1]):
            total += weight[i, j] * vector[j]
        out[i] = total - total if total < 0 else total  # written so that NaN stays NaN


@njit(cache=True, error_model="numpy", fastmath=_FAST)
def _add_and_mix(
    value: Array, increment: Array, gain: Array, bias: Array, mix: float, epsilon: float
) -> None:
    """``value += increment``, then ``value = (1 - mix) value + mix LayerNorm(value)``."""
    width = value.shape[0]
    total = 0.0
    for i in range(width):
        value[i] += increment[i]
        total += value[i]
    if mix == 0.0:
        return
    mean = total / width
    square = 0.0
    for i in range(width):
        square += (value[i] - mean) * (value[i] - mean)
    scale = 1.0 / np.sqrt(square / width + epsilon)
    for i in range(width):
        normed = (value[i] - mean) * scale * gain[i] + bias[i]
        value[i] = (1.0 - mix) * value[i] + mix * normed


@njit(cache=True, error_model="numpy")
def _read(
    first: Array,
    middle: Array,
    last: Array,
    token_half: Array,
    middle_bias: Array,
    last_bias: Array,
    context_gain: Array,
    context_bias: Array,
    token_gain: Array,
    token_bias: Array,
    embeddings: Array,
    context: Array,
    mix: float,
    epsilon: float,
    out: Array,
) -> None:
    """Contexts of a block of tokens into ``out`` (T, D). Shapes: see ``CompiledPass``."""
    split, num_layers = context.shape[0], context_gain.shape[0]
    width = split + embeddings.shape[1]
    h = np.empty(width, context.dtype)
    pair = np.empty(width, context.dtype)  # [context; token]
    pair[:split] = context
    for t in range(embeddings.shape[0]):
        pair[split:] = embeddings[t]
        for layer in range(num_layers):
            final = layer == num_layers - 1
            if layer == 0:
                _relu_product(first, pair[:split], token_half[t], h[: first.shape[0]])
            elif final:
                _relu_product(last, pair, last_bias, h[:split])
            else:
                _relu_product(middle[layer - 1], pair, middle_bias[layer - 1], h)
            _add_and_mix(
                pair[:split], h[:split], context_gain[layer], context_bias[layer], mix, epsilon
            )
            if not final:
                _add_and_mix(
                    pair[split:], h[split:], token_gain[layer], token_bias[layer], mix, epsilon
                )
        out[t] = pair[:split]


def _stack(parts: list[Tensor], *shape: int) -> Array:
    """Equal parts as one array; an empty one of ``shape`` if there are none."""
    if not parts:
        return np.empty(shape, np.float32)
    return torch.stack(parts).detach().numpy()


class CompiledPass:
    """A network's weights, laid out for the kernel; made anew for each pass.

    ``first`` (D + E, D) is the context half of layer 1 (only its D context rows if L = 1),
    ``middle`` (L - 2, D + E, D + E), ``last`` (D, D + E).
    """

    def __init__(self, network: ContextNetwork, embeddings: Tensor) -> None:
        layers = network.context_layers
        split, count = network.config.context_size, len(layers)
        width = split + network.config.embedding_size
        rows = split if count == 1 else width
        weight, bias = layers[0].linear.weight[:rows], layers[0].linear.bias[:rows]
        self._first = weight[:, :split].detach().contiguous().numpy()
        # (T, rows): what the tokens contribute to layer 1
        self._token_half = torch.addmm(bias, embeddings, weight[:, split:].T).detach().numpy()
        dtype = self._first.dtype
        middle = [layer.linear for layer in layers[1:-1]]
        self._middle = _stack([m.weight for m in middle], 0, width, width).astype(
            dtype, copy=False
        )
        self._middle_bias = _stack([m.bias for m in middle], 0, width).astype(dtype, copy=False)
        self._last = layers[-1].linear.weight[:split].detach().contiguous().numpy()
        self._last_bias = layers[-1].linear.bias[:split].detach().contiguous().numpy()
        self._norms = (
            _stack([layer.context_norm.weight for layer in layers]),
            _stack([layer.context_norm.bias for layer in layers]),
            _stack([layer.token_norm.weight for layer in layers]),
            _stack([layer.token_norm.bias for layer in layers]),
        )
        self._embeddings = embeddings.contiguous().numpy()
        self._mix = float(layers[0].layernorm_mix)
        self._epsilon = float(layers[0].context_norm.eps)

    def read(self, first: int, last: int, context: Tensor, out: Tensor) -> None:
        """Write the contexts of tokens ``first`` ... ``last - 1`` to ``out`` (last - first, D)."""
        _read(
            self._first,
            self._middle,
            self._last,
            self._token_half[first:last],
            self._middle_bias,
            self._last_bias,
            *self._norms,
            self._embeddings[first:last],
            context.contiguous().numpy(),
            self._mix,
            self._epsilon,
            out.numpy(),
        )
