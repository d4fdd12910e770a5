"""The kernels of one layer of the online trainer: its forward, its backward, its Adam step."""

from typing import NamedTuple

import numpy as np

from cvfp_opt.model.kernel import FAST, Array, kernel


class Trained(NamedTuple):
    """A parameter and its Adam moments, all of one shape.

    The moments are empty if the parameter is not trained.
    """

    value: Array
    mean: Array
    square: Array


class Stream(NamedTuple):
    """LayerNorm of one stream of a layer, of width N = D or E; N = 0 for the last layer's token.

    The rest is of the last token read: ``normed`` (N,) before gain and bias, ``scale`` (1,) that
    it was normed with, and the gradients (N,).
    """

    gain: Trained
    bias: Trained
    normed: Array
    scale: Array
    gain_gradient: Array
    bias_gradient: Array


class Layer(NamedTuple):
    """A layer: weight (N, D + E) and bias (N,), N = D + E, or D for the last layer.

    ``inputs`` (2, D + E) are of this token and the one before, in turn; ``h`` (N,) is after ReLU
    and ``gradient`` (N,) before it; ``decay`` (N, 2) is what the stored moments of a row of the
    weight still have to be multiplied by.
    """

    weight: Trained
    bias: Trained
    context: Stream
    token: Stream
    inputs: Array
    h: Array
    gradient: Array
    decay: Array


class Rule(NamedTuple):
    """The losses, clip and Adam of a step, as in the definition."""

    weight: float
    diversity_scale: float
    mean_momentum: float
    gradient_clip: float
    normalized: bool
    always: bool
    mix: float
    epsilon: float
    learning_rate: float
    beta1: float
    beta2: float
    adam_epsilon: float


class Adam(NamedTuple):
    """The numbers of one Adam step: ``p -= size * m / (sqrt(v) + epsilon)``.

    Bias corrections are in ``size`` and ``epsilon``; ``clip`` is the factor on gradients.
    """

    size: float
    epsilon: float
    beta1: float
    beta2: float
    clip: float


@kernel(error_model="numpy", fastmath=FAST)
def step_vector(parameter: Trained, gradient: Array, adam: Adam) -> None:
    """Take the Adam step of a vector (N,)."""
    kind = gradient.dtype.type
    beta1, beta2, size = kind(adam.beta1), kind(adam.beta2), kind(adam.size)
    rest1, rest2, epsilon = kind(1 - adam.beta1), kind(1 - adam.beta2), kind(adam.epsilon)
    clip = kind(adam.clip)
    for i in range(gradient.shape[0]):
        g = clip * gradient[i]
        mean = beta1 * parameter.mean[i] + rest1 * g
        square = beta2 * parameter.square[i] + rest2 * g * g
        parameter.mean[i] = mean
        parameter.square[i] = square
        parameter.value[i] -= size * mean / (np.sqrt(square) + epsilon)


@kernel(error_model="numpy", fastmath=FAST)
def _row_product(value: Array, new: Array) -> float:
    """Return ``value @ new``, (N,) each."""
    total = value.dtype.type(0)
    for j in range(value.shape[0]):
        total += value[j] * new[j]
    return total


@kernel(error_model="numpy", fastmath=FAST)
def _step_row(
    row: Trained,
    old: Array,
    new: Array,
    means: tuple[float, float],
    squares: tuple[float, float],
    size: float,
    epsilon: float,
) -> float:
    """Step one row whose gradient is a multiple of ``old``; return ``row @ new``.

    ``means`` and ``squares`` are the factors of the old moment, and of ``old`` or its square.
    """
    value, mean, square = row
    total = value.dtype.type(0)
    for j in range(value.shape[0]):
        first = means[0] * mean[j] + means[1] * old[j]
        second = squares[0] * square[j] + squares[1] * (old[j] * old[j])
        stepped = value[j] - size * first / (np.sqrt(second) + epsilon)
        mean[j] = first
        square[j] = second
        value[j] = stepped
        total += stepped * new[j]
    return total


@kernel(error_model="numpy", fastmath=FAST)
def _step_idle_row(row: Trained, new: Array, size: float, epsilon: float) -> float:
    """Step one row whose moments only decay, without a gradient; return ``row @ new``."""
    value, mean, square = row
    total = value.dtype.type(0)
    for j in range(value.shape[0]):
        stepped = value[j] - size * mean[j] / (np.sqrt(square[j]) + epsilon)
        value[j] = stepped
        total += stepped * new[j]
    return total


@kernel(error_model="numpy", fastmath=FAST)
def step_and_multiply(layer: Layer, old: Array, new: Array, due: bool, adam: Adam) -> None:
    """Step a weight, if ``due``, by its gradient (outer) ``old``; then ``h = weight @ new``."""
    weight, gradient, decay, out = layer.weight, layer.gradient, layer.decay, layer.h
    kind = out.dtype.type
    for i in range(out.shape[0]):
        row = Trained(weight.value[i], weight.mean[i], weight.square[i])
        g = adam.clip * gradient[i]
        mean_factor, square_factor = adam.beta1 * decay[i, 0], adam.beta2 * decay[i, 1]
        if not due:
            out[i] = _row_product(row.value, new)
        elif g == 0.0:
            root = np.sqrt(square_factor)
            size, epsilon = adam.size * mean_factor / root, adam.epsilon / root
            out[i] = _step_idle_row(row, new, kind(size), kind(epsilon))
            decay[i, 0], decay[i, 1] = mean_factor, square_factor
        else:
            means = kind(mean_factor), kind((1.0 - adam.beta1) * g)
            squares = kind(square_factor), kind((1.0 - adam.beta2) * g * g)
            out[i] = _step_row(row, old, new, means, squares, kind(adam.size), kind(adam.epsilon))
            decay[i, 0], decay[i, 1] = 1.0, 1.0


@kernel(error_model="numpy", fastmath=FAST)
def add_transposed_product(weight: Array, gradient: Array, out: Array) -> None:
    """Add ``weight[:N].T @ gradient`` to ``out``, without the rows whose gradient (N,) is zero.

    Four rows at a time: measured 39 GB/s of weights, against 19 for one.
    """
    rows = np.flatnonzero(gradient)
    fours = len(rows) - len(rows) % 4
    for k in range(0, fours, 4):
        a, b, c, d = rows[k], rows[k + 1], rows[k + 2], rows[k + 3]
        for j in range(out.shape[0]):
            out[j] += (gradient[a] * weight[a, j] + gradient[b] * weight[b, j]) + (
                gradient[c] * weight[c, j] + gradient[d] * weight[d, j]
            )
    for i in rows[fours:]:
        for j in range(out.shape[0]):
            out[j] += gradient[i] * weight[i, j]


@kernel(error_model="numpy", fastmath=FAST)
def sum_of_squares(vector: Array) -> float:
    """Return the sum of squares, in float64."""
    total = 0.0
    for i in range(vector.shape[0]):
        total += np.float64(vector[i]) * np.float64(vector[i])
    return total


@kernel(error_model="numpy", fastmath=FAST)
def add_and_mix(
    stream: Stream, value: Array, increment: Array, mix: float, epsilon: float, out: Array
) -> None:
    """Compute ``v = value + increment; out = (1 - mix) v + mix LayerNorm(v)``, all (N,)."""
    width = value.shape[0]
    total = 0.0
    for i in range(width):
        out[i] = value[i] + increment[i]
        total += out[i]
    if mix == 0.0:
        return
    mean = total / width
    square = 0.0
    for i in range(width):
        square += (out[i] - mean) * (out[i] - mean)
    scale = 1.0 / np.sqrt(square / width + epsilon)
    stream.scale[0] = scale
    for i in range(width):
        stream.normed[i] = (out[i] - mean) * scale
        normed = stream.normed[i] * stream.gain.value[i] + stream.bias.value[i]
        out[i] = (1.0 - mix) * out[i] + mix * normed


@kernel(error_model="numpy", fastmath=FAST)
def add_and_mix_backward(stream: Stream, gradient: Array, mix: float) -> float:
    """Turn the ``gradient`` (N,) of what ``add_and_mix`` gave into that of its two inputs.

    Returns:
        The sum of squares of the gradients of gain and bias.
    """
    if mix == 0.0:
        return 0.0
    width, gain = gradient.shape[0], stream.gain.value
    by_gain, by_bias = stream.gain_gradient, stream.bias_gradient
    total, product = 0.0, 0.0
    for i in range(width):
        by_bias[i] = mix * gradient[i]
        by_gain[i] = by_bias[i] * stream.normed[i]
        total += by_bias[i] * gain[i]
        product += by_gain[i] * gain[i]
    for i in range(width):
        through = by_bias[i] * gain[i] - total / width - stream.normed[i] * (product / width)
        gradient[i] = (1.0 - mix) * gradient[i] + stream.scale[0] * through
    return sum_of_squares(by_gain) + sum_of_squares(by_bias)
