"""Clip and Adam as one compiled sweep over a parameter: the bits of torch's, in fewer sweeps.

A step is bound by memory. torch reads every gradient for the norm, reads and writes it for the
clip, and reads it again for Adam; here the factor of the clip is applied where Adam reads the
gradient. A matrix that products want in bfloat16 is rounded in the same sweep.

torch multiplies and adds in one rounding in two places, where its own compiler chose to; the
kernel says so by ``_multiply_add``. Whether that is right for this processor and this torch is
asked once a process, see training.optimizer.
"""

from typing import Any, NamedTuple

import numpy as np
from numba.extending import intrinsic

from cvfp_opt.model.kernel import Array, kernel

# Elements that are stepped, and then rounded while they are still in the cache.
CHUNK = 2048
# torch steps what is left of its vectors in other arithmetic; its longest has 16 elements.
VECTOR = 16


class AdamNumbers(NamedTuple):
    """The numbers of one step, float32: ``p += size * m / (sqrt(v) / root + epsilon)``.

    ``clip`` is the factor on the gradient g; ``m += mean_rate * (g - m)``;
    ``v = square_decay * v + square_rate * g * g``.
    """

    clip: np.float32
    mean_rate: np.float32
    square_decay: np.float32
    square_rate: np.float32
    root: np.float32
    epsilon: np.float32
    size: np.float32


def adam_numbers(
    step: float, clip: float, learning_rate: float, betas: tuple[float, float], epsilon: float
) -> AdamNumbers:
    """Compute the numbers of a step, counted from 1, as torch's fused Adam does."""
    beta1, beta2 = betas
    return AdamNumbers(
        clip=np.float32(clip),
        mean_rate=np.float32(1 - beta1),
        square_decay=np.float32(beta2),
        square_rate=np.float32(1 - beta2),
        root=np.float32((1 - beta2**step) ** 0.5),
        epsilon=np.float32(epsilon),
        size=np.float32(-(learning_rate / (1 - beta1**step))),
    )


def _fused(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """Compute ``a * b + c`` with one rounding."""
    return a(a, a, a), lambda context, builder, signature, values: builder.fma(*values)


_multiply_add: Any = intrinsic(_fused)


@kernel(error_model="numpy")
def _step(value: Array, gradient: Array, mean: Array, square: Array, by: AdamNumbers) -> None:
    for i in range(value.shape[0]):
        g = gradient[i] * by.clip
        m = _multiply_add(by.mean_rate, g - mean[i], mean[i])
        v = _multiply_add(by.square_rate * g, g, square[i] * by.square_decay)
        mean[i] = m
        square[i] = v
        value[i] += by.size * m / (np.sqrt(v) / by.root + by.epsilon)


@kernel(error_model="numpy")
def round_words(words: Array, out: Array, shift: int) -> None:
    """Round float32 numbers, given as uint32, to bfloat16: to nearest, halves to even.

    Args:
        out: uint32 with ``shift`` 0 for float32 numbers, uint16 with 16 for bfloat16.
    """
    places = np.uint32(shift)
    for i in range(words.shape[0]):
        word = words[i]
        odd = (word >> np.uint32(16)) & np.uint32(1)
        rounded = (word + np.uint32(0x7FFF) + odd) & np.uint32(0xFFFF0000)
        if (word & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000):
            rounded = np.uint32(0x7FC00000)  # NaN stays NaN
        out[i] = rounded >> places


@kernel(error_model="numpy", nogil=True)
def clipped_step(
    value: Array, gradient: Array, mean: Array, square: Array, by: AdamNumbers
) -> None:
    """Take the Adam step of a parameter (N,) by its ``gradient`` times ``clip``."""
    _step(value, gradient, mean, square, by)


@kernel(error_model="numpy", nogil=True)
def clipped_step_rounded(
    value: Array,
    gradient: Array,
    mean: Array,
    square: Array,
    by: AdamNumbers,
    words: Array,
    out: Array,
    shift: int,
) -> None:
    """Take the same step, and round what comes of it; ``words`` are the bits of ``value``."""
    for first in range(0, value.shape[0], CHUNK):
        part = slice(first, first + CHUNK)
        _step(value[part], gradient[part], mean[part], square[part], by)
        round_words(words[part], out[part], shift)
