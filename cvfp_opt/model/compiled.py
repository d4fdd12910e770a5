"""The sequential pass as one compiled kernel: the same figures, several times faster.

A token needs every weight once, so a pass is bound by memory: product, ReLU, residual and
LayerNorm are fused, the first layer's token half is one product for all tokens, and the last
layer's token rows, which nothing uses, are left out. It runs on one thread: sharing each
product among two needs a barrier six times a token, and those collapse (ten times slower) as soon
as anything else wants a processor.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cvfp_opt.model.kernel import FAST, Array, kernel
from cvfp_opt.model.network import ContextNetwork


@kernel(error_model="numpy", fastmath=FAST)
def _relu(value: float) -> float:
    """Return ``max(value, 0)``, and NaN for NaN."""
    return value - value if value < 0 else value  # written so that NaN stays NaN


@kernel(error_model="numpy", fastmath=FAST)
def _relu_product(weight: Array, vector: Array, base: Array, out: Array) -> None:
    """Compute ``out = relu(weight @ vector + base)``.

    One row at a time: measured 40 GB/s of weights, against 25 for four rows at a time.
    """
    for i in range(weight.shape[0]):
        total = base[i]
        for j in range(weight.shape[1]):
            total += weight[i, j] * vector[j]
        out[i] = _relu(total)


@kernel(error_model="numpy", fastmath=FAST)
def _relu_products(
    weight: Array,
    one: Array,
    other: Array,
    one_base: Array,
    other_base: Array,
    one_out: Array,
    other_out: Array,
) -> None:
    """Compute ``_relu_product`` for two vectors in one sweep over the weights."""
    for i in range(weight.shape[0]):
        row = weight[i]
        total, other_total = one_base[i], other_base[i]
        for j in range(weight.shape[1]):
            total += row[j] * one[j]
            other_total += row[j] * other[j]
        one_out[i] = _relu(total)
        other_out[i] = _relu(other_total)


@kernel(error_model="numpy")
def _product(weight: Array, vectors: Array, base: Array, out: Array) -> None:
    """Compute ``out[lane] = relu(weight @ vectors[lane] + base[lane])`` for one lane or two.

    ``vectors`` (lanes, at least columns), ``base`` (lanes, rows), ``out`` (lanes, at least rows).
    """
    if vectors.shape[0] == 1:
        _relu_product(weight, vectors[0], base[0], out[0])
    else:
        _relu_products(weight, vectors[0], vectors[1], base[0], base[1], out[0], out[1])


@kernel(error_model="numpy", fastmath=FAST)
def _add_and_mix(
    value: Array, increment: Array, gain: Array, bias: Array, mix: float, epsilon: float
) -> None:
    """Add, then mix: ``v += increment; v = (1 - mix) v + mix LayerNorm(v)``, v = ``value``."""
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


@kernel(error_model="numpy", nogil=True)
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
    """Write the contexts of a block of tokens to ``out`` (lanes, T, D); see ``CompiledPass``."""
    lanes, split = context.shape
    width, num_layers = split + embeddings.shape[2], context_gain.shape[0]
    h = np.empty((lanes, width), context.dtype)
    pair = np.empty((lanes, width), context.dtype)  # [context; token]
    pair[:, :split] = context
    for t in range(embeddings.shape[1]):
        pair[:, split:] = embeddings[:, t]
        for layer in range(num_layers):
            final = layer == num_layers - 1
            if layer == 0:
                _product(first, pair, token_half[t], h)
            elif final:
                _product(last, pair, last_bias, h)
            else:
                _product(middle[layer - 1], pair, middle_bias[layer - 1], h)
            for lane in range(lanes):
                _add_and_mix(
                    pair[lane][:split],
                    h[lane][:split],
                    context_gain[layer],
                    context_bias[layer],
                    mix,
                    epsilon,
                )
                if not final:
                    _add_and_mix(
                        pair[lane][split:],
                        h[lane][split:],
                        token_gain[layer],
                        token_bias[layer],
                        mix,
                        epsilon,
                    )
        out[:, t] = pair[:, :split]


def _stack(parts: list[Tensor], *shape: int) -> Array:
    """Stack equal parts into one array; an empty one of ``shape`` if there are none."""
    if not parts:
        return np.empty(shape, np.float32)
    return torch.stack(parts).detach().numpy()


class CompiledPass:
    """A network's weights and the texts of one lane or two, laid out for the kernel.

    Made anew for each pass. ``first`` (D + E, D) is the context half of layer 1 (only its D
    context rows if L = 1), ``middle`` (L - 2, D + E, D + E), ``last`` (D, D + E).
    """

    def __init__(self, network: ContextNetwork, texts: Sequence[Tensor]) -> None:
        layers = network.context_layers
        split, count = network.config.context_size, len(layers)
        width = split + network.config.embedding_size
        rows = split if count == 1 else width
        weight, bias = layers[0].linear.weight[:rows], layers[0].linear.bias[:rows]
        self._first = weight[:, :split].detach().contiguous().numpy()
        # per lane (T, rows): what the tokens contribute to layer 1
        self._token_halves = [
            torch.addmm(bias, text, weight[:, split:].T).detach().numpy() for text in texts
        ]
        self._texts = [text.contiguous().numpy() for text in texts]
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
        self._mix = float(layers[0].layernorm_mix)
        self._epsilon = float(layers[0].context_norm.eps)

    def read(self, first: int, last: int, contexts: Tensor, out: Tensor) -> None:
        """Read tokens ``first`` ... ``last - 1`` of the leading lanes, those of ``contexts``.

        Args:
            contexts: (lanes, D) before the first of them.
            out: (lanes, last - first, D), to write to.
        """
        lanes = contexts.shape[0]
        _read(
            self._first,
            self._middle,
            self._last,
            np.stack([half[first:last] for half in self._token_halves[:lanes]], axis=1),
            np.stack([self._middle_bias] * lanes, axis=1),  # (L - 2, lanes, D + E)
            np.stack([self._last_bias] * lanes),
            *self._norms,
            np.stack([text[first:last] for text in self._texts[:lanes]]),
            contexts.contiguous().numpy(),
            self._mix,
            self._epsilon,
            out.numpy(),
        )
