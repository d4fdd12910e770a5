"""The online trainer's steps as one compiled kernel: what autograd and Adam compute, faster.

A step needs every weight and both of its Adam moments once, so it is bound by memory. The
gradient of a layer's weight is the outer product of a vector with the layer's input: it is never
written down, and its norm is the product of two norms. The Adam step of a row waits for the next
token, so that one sweep does it and the row's product with that token's input. Rows that ReLU
switched off have no gradient: they are left out of the backward product, and the decay of their
moments is kept as two numbers a row until they have one again. The last layer's token rows, which
nothing uses, have none ever: they are left alone.

The same run gives the same bits where vectors have 256 bytes or more (D and E of 64 in float32).
In a smaller net two of them may lie within one vector step of each other, for which the compiler
sums in another order: 19 of 120 equal runs at D = 8, E = 6 in float64 differed in their last
bits, none of 60 each at D = 16, 32, 64 and 96.

It runs on one thread, for the reason that cvfp_opt.model.compiled gives. It is one module, and
takes nothing from another: numba's cache would not notice that the other one was changed.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cvfp_opt.model.kernel import kernel

Array = NDArray[Any]

# Sums may be reordered (else nothing is vectorised); NaN and infinity keep their meaning.
_FAST = {"reassoc", "contract", "nsz", "arcp"}

_NORM_FLOOR = 1e-12  # of torch.nn.functional.normalize


class Trained(NamedTuple):
    """A parameter and its Adam moments, all of one shape; the moments are empty if it is not
    trained."""

    value: Array
    mean: Array
    square: Array


class Stream(NamedTuple):
    """LayerNorm of one stream of a layer, of N = D or E; N = 0 for the last layer's token.

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
    """What a step computes: losses, clip and Adam, as in the definition."""

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
    """One Adam step: ``p -= size * m / (sqrt(v) + epsilon)``, with the clip's factor on gradients.

    Bias corrections are in ``size`` and ``epsilon``.
    """

    size: float
    epsilon: float
    beta1: float
    beta2: float
    clip: float


@kernel(error_model="numpy", fastmath=_FAST)
def _adam(parameter: Trained, gradient: Array, adam: Adam) -> None:
    """The step of a vector (N,)."""
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


@kernel(error_model="numpy", fastmath=_FAST)
def _row_product(value: Array, new: Array) -> float:
    """``value @ new``, (N,) each."""
    total = value.dtype.type(0)
    for j in range(value.shape[0]):
        total += value[j] * new[j]
    return total


@kernel(error_model="numpy", fastmath=_FAST)
def _step_row(
    row: Trained,
    old: Array,
    new: Array,
    means: tuple[float, float],
    squares: tuple[float, float],
    size: float,
    epsilon: float,
) -> float:
    """One row's step, whose gradient is a multiple of ``old``, and its product with ``new``.

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


@kernel(error_model="numpy", fastmath=_FAST)
def _step_idle_row(row: Trained, new: Array, size: float, epsilon: float) -> float:
    """One row's step without a gradient, and its product with ``new``; the moments only decay."""
    value, mean, square = row
    total = value.dtype.type(0)
    for j in range(value.shape[0]):
        stepped = value[j] - size * mean[j] / (np.sqrt(square[j]) + epsilon)
        value[j] = stepped
        total += stepped * new[j]
    return total


@kernel(error_model="numpy", fastmath=_FAST)
def _step_and_product(layer: Layer, old: Array, new: Array, due: bool, adam: Adam) -> None:
    """The step, if ``due``, of a weight for its gradient (outer) ``old``; ``h = weight @ new``."""
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


@kernel(error_model="numpy", fastmath=_FAST)
def _transposed_product(weight: Array, gradient: Array, out: Array) -> None:
    """``out += weight[:N].T @ gradient`` (N,), without the rows whose gradient is zero.

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


@kernel(error_model="numpy", fastmath=_FAST)
def _squares(vector: Array) -> float:
    """Sum of squares, in float64."""
    total = 0.0
    for i in range(vector.shape[0]):
        total += np.float64(vector[i]) * np.float64(vector[i])
    return total


@kernel(error_model="numpy", fastmath=_FAST)
def _mix(
    stream: Stream, value: Array, increment: Array, mix: float, epsilon: float, out: Array
) -> None:
    """``v = value + increment; out = (1 - mix) v + mix LayerNorm(v)``, all (N,)."""
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


@kernel(error_model="numpy", fastmath=_FAST)
def _mix_backward(stream: Stream, gradient: Array, mix: float) -> float:
    """The gradient (N,) of what ``_mix`` gave becomes that of ``value + increment``.

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
    return _squares(by_gain) + _squares(by_bias)


@kernel(error_model="numpy", fastmath=_FAST)
def _cvfp_loss(context: Array, target: Array, normalized: bool, gradient: Array) -> float:
    """Mean square of the difference of two contexts (D,), or of their directions."""
    width = context.shape[0]
    if not normalized:
        total = 0.0
        for i in range(width):
            difference = context[i] - target[i]
            gradient[i] = 2.0 * difference / width
            total += difference * difference
        return total / width
    norm, target_norm = np.sqrt(_squares(context)), np.sqrt(_squares(target))
    size, target_size = max(norm, _NORM_FLOOR), max(target_norm, _NORM_FLOOR)
    total, product = 0.0, 0.0
    for i in range(width):
        difference = context[i] / size - target[i] / target_size
        gradient[i] = 2.0 * difference / width
        total += difference * difference
        product += gradient[i] * (context[i] / size)
    for i in range(width):
        along = product * (context[i] / size) if norm >= _NORM_FLOOR else 0.0
        gradient[i] = (gradient[i] - along) / size
    return total / width


@kernel(error_model="numpy", fastmath=_FAST)
def _deviation_loss(context: Array, mean: Array, gradient: Array) -> float:
    """``-||context - mean||``, of (D,) each; without a gradient where that is zero."""
    total = 0.0
    for i in range(context.shape[0]):
        gradient[i] = context[i] - mean[i]
        total += gradient[i] * gradient[i]
    norm = np.sqrt(total)
    if norm > 0.0:
        for i in range(context.shape[0]):
            gradient[i] = -gradient[i] / norm
    return -norm


@kernel(error_model="numpy")
def _loss(
    context: Array,
    target: Array,
    mean: Array,
    has_target: bool,
    has_mean: bool,
    rule: Rule,
    gradient: Array,
) -> tuple[float, float]:
    """cvfp and scaled diversity loss of a context (D,); ``gradient`` (D,) of their sum."""
    part = np.zeros_like(gradient)
    gradient[:] = 0
    cvfp = 0.0
    if has_target:
        cvfp = _cvfp_loss(context, target, rule.normalized, part)
        for i in range(gradient.shape[0]):
            gradient[i] = (1.0 - rule.weight) * part[i]
    if not has_mean:
        return cvfp, rule.diversity_scale * (0.0 * context.sum())  # zero, but NaN stays NaN
    diversity = rule.diversity_scale * _deviation_loss(context, mean, part)
    for i in range(gradient.shape[0]):
        gradient[i] += rule.weight * rule.diversity_scale * part[i]
    return cvfp, diversity


@kernel(error_model="numpy")
def _product(layer: Layer, now: int, due: bool, adam: Adam, mix: float) -> None:
    """The step that may be due on a layer, for the other ``inputs``; then its ``h``."""
    h = layer.h
    _step_and_product(layer, layer.inputs[1 - now], layer.inputs[now], due, adam)
    if due:
        _adam(layer.bias, layer.gradient, adam)
    if due and mix != 0.0:
        for stream in (layer.context, layer.token):
            _adam(stream.gain, stream.gain_gradient, adam)
            _adam(stream.bias, stream.bias_gradient, adam)
    for i in range(h.shape[0]):
        total = h[i] + layer.bias.value[i]
        h[i] = total - total if total < 0 else total  # written so that NaN stays NaN


@kernel(error_model="numpy")
def _forward(
    layers: tuple[Layer, ...], now: int, due: bool, adam: Adam, rule: Rule, out: Array
) -> None:
    """The context ``out`` (D,) for the first layer's input, after the step that may be due."""
    split, mix = out.shape[0], rule.mix
    for at in range(len(layers)):
        layer = layers[at]
        value, h, rows = layer.inputs[now], layer.h, layer.h.shape[0]
        new = out if at == len(layers) - 1 else layers[at + 1].inputs[now]
        _product(layer, now, due, adam, mix)
        _mix(layer.context, value[:split], h[:split], mix, rule.epsilon, new[:split])
        _mix(layer.token, value[split:rows], h[split:], mix, rule.epsilon, new[split:rows])


@kernel(error_model="numpy")
def _backward(layers: tuple[Layer, ...], now: int, mix: float, gradient: Array) -> float:
    """From the ``gradient`` (D + E,) of the last context, and 0, to those that the layers keep.

    Returns:
        The norm of the gradient of all parameters.
    """
    split = layers[0].context.normed.shape[0]
    squares = 0.0
    for at in range(len(layers) - 1, -1, -1):
        layer, rows = layers[at], layers[at].h.shape[0]
        squares += _mix_backward(layer.context, gradient[:split], mix)
        squares += _mix_backward(layer.token, gradient[split:rows], mix)
        for i in range(rows):
            layer.gradient[i] = 0 if layer.h[i] <= 0 else gradient[i]
        squares += _squares(layer.gradient) * (1.0 + _squares(layer.inputs[now]))
        if at > 0:
            _transposed_product(layer.weight.value, layer.gradient, gradient)
    return np.sqrt(squares)


@kernel(error_model="numpy")
def _settle(layers: tuple[Layer, ...], now: int, due: bool, adam: Adam, mix: float) -> None:
    """The last step that may be due, and the decay of the moments."""
    for at in range(len(layers)):
        layer = layers[at]
        if due:
            _product(layer, now, due, adam, mix)
        for i in range(layer.h.shape[0]):
            if layer.decay[i, 0] != 1.0:
                for j in range(layer.inputs.shape[1]):
                    layer.weight.mean[i, j] *= layer.decay[i, 0]
                    layer.weight.square[i, j] *= layer.decay[i, 1]


@kernel(error_model="numpy")
def _adam_step(rule: Rule, step: int, norm: float) -> Adam:
    """Adam's numbers for the step of that number, from 1 on."""
    root = np.sqrt(1.0 - rule.beta2**step)
    return Adam(
        rule.learning_rate * root / (1.0 - rule.beta1**step),
        rule.adam_epsilon * root,
        rule.beta1,
        rule.beta2,
        min(1.0, rule.gradient_clip / (norm + 1e-6)),
    )


@kernel(error_model="numpy", nogil=True)
def train(
    layers: tuple[Layer, ...],
    rule: Rule,
    steps: int,
    tokens: Array,
    context: Array,
    targets: Array,
    has_target: bool,
    mean: Array,
    has_mean: bool,
    out: Array,
    losses: Array,
) -> tuple[int, int]:
    """Train on a block of tokens; shapes: see ``online_block.train_block``.

    Returns:
        Tokens read, fewer than there are if losses or norm broke; and steps taken, ``steps``
        having been before.
    """
    kind, split = out.dtype.type, out.shape[1]
    inputs = layers[0].inputs
    gradient = np.zeros(inputs.shape[1], out.dtype)
    adam, due, taken = _adam_step(rule, 1, 0.0), False, 0
    for t in range(tokens.shape[0]):
        now, new = t % 2, out[t]
        inputs[now, :split] = context
        inputs[now, split:] = tokens[t]
        _forward(layers, now, due, adam, rule, new)
        due = False
        cvfp, diversity = _loss(
            new, targets[t], mean, has_target, has_mean, rule, gradient[:split]
        )
        gradient[split:] = 0
        total, norm = kind((1.0 - rule.weight) * cvfp + rule.weight * diversity), 0.0
        if rule.always or not total <= 0.0:
            norm = kind(_backward(layers, now, rule.mix, gradient))
            if np.isfinite(norm):
                due, taken = True, taken + 1
                adam = _adam_step(rule, steps + taken, norm)
        momentum = kind(rule.mean_momentum) if has_mean else kind(0)
        for i in range(split):
            mean[i] = momentum * mean[i] + (kind(1) - momentum) * new[i]
        has_mean = True
        losses[t, 0], losses[t, 1], losses[t, 2] = kind(cvfp), kind(diversity), norm
        if not np.isfinite(losses[t]).all():
            break
        context = new
    _settle(layers, 1 - now, due, adam, rule.mix)
    return t + 1, taken
