"""The online trainer's steps as one compiled kernel: the figures of autograd and Adam, faster.

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

It runs on one thread, for the reason that cvfp_opt.model.compiled gives.
"""

import numpy as np

from cvfp_opt.model.compiled_layer import (
    Adam,
    Layer,
    Rule,
    add_and_mix,
    add_and_mix_backward,
    add_transposed_product,
    step_and_multiply,
    step_vector,
    sum_of_squares,
)
from cvfp_opt.model.kernel import FAST, Array, kernel

_NORM_FLOOR = 1e-12  # of torch.nn.functional.normalize


@kernel(error_model="numpy", fastmath=FAST)
def _cvfp_loss(context: Array, target: Array, normalized: bool, gradient: Array) -> float:
    """Return the mean squared difference of two contexts (D,), or of their directions.

    ``gradient`` (D,) becomes that of ``context``.
    """
    width = context.shape[0]
    if not normalized:
        total = 0.0
        for i in range(width):
            difference = context[i] - target[i]
            gradient[i] = 2.0 * difference / width
            total += difference * difference
        return total / width
    norm, target_norm = np.sqrt(sum_of_squares(context)), np.sqrt(sum_of_squares(target))
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


@kernel(error_model="numpy", fastmath=FAST)
def _deviation_loss(context: Array, mean: Array, gradient: Array) -> float:
    """Return ``-||context - mean||``, of (D,) each; the ``gradient`` is zero where that is."""
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
    """Return cvfp and scaled diversity loss of a context (D,); ``gradient`` (D,) of their sum."""
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
    """Take the step that is due on a layer, for its other ``inputs``; then compute its ``h``."""
    h = layer.h
    step_and_multiply(layer, layer.inputs[1 - now], layer.inputs[now], due, adam)
    if due:
        step_vector(layer.bias, layer.gradient, adam)
    if due and mix != 0.0:
        for stream in (layer.context, layer.token):
            step_vector(stream.gain, stream.gain_gradient, adam)
            step_vector(stream.bias, stream.bias_gradient, adam)
    for i in range(h.shape[0]):
        total = h[i] + layer.bias.value[i]
        h[i] = total - total if total < 0 else total  # written so that NaN stays NaN


@kernel(error_model="numpy")
def _forward(
    layers: tuple[Layer, ...], now: int, due: bool, adam: Adam, rule: Rule, out: Array
) -> None:
    """Take the step that may be due; then compute the context ``out`` (D,) of this token."""
    split, mix = out.shape[0], rule.mix
    for at in range(len(layers)):
        layer = layers[at]
        value, h, rows = layer.inputs[now], layer.h, layer.h.shape[0]
        new = out if at == len(layers) - 1 else layers[at + 1].inputs[now]
        _product(layer, now, due, adam, mix)
        add_and_mix(layer.context, value[:split], h[:split], mix, rule.epsilon, new[:split])
        add_and_mix(layer.token, value[split:rows], h[split:], mix, rule.epsilon, new[split:rows])


@kernel(error_model="numpy")
def _backward(layers: tuple[Layer, ...], now: int, mix: float, gradient: Array) -> float:
    """Propagate the ``gradient`` (D + E,) of the last context, and 0, to all layers.

    Returns:
        The norm of the gradient of all parameters.
    """
    split = layers[0].context.normed.shape[0]
    squares = 0.0
    for at in range(len(layers) - 1, -1, -1):
        layer, rows = layers[at], layers[at].h.shape[0]
        squares += add_and_mix_backward(layer.context, gradient[:split], mix)
        squares += add_and_mix_backward(layer.token, gradient[split:rows], mix)
        for i in range(rows):
            layer.gradient[i] = 0 if layer.h[i] <= 0 else gradient[i]
        squares += sum_of_squares(layer.gradient) * (1.0 + sum_of_squares(layer.inputs[now]))
        if at > 0:
            add_transposed_product(layer.weight.value, layer.gradient, gradient)
    return np.sqrt(squares)


@kernel(error_model="numpy")
def _settle(layers: tuple[Layer, ...], now: int, due: bool, adam: Adam, mix: float) -> None:
    """Take the last step, if it is due, and apply the decay of the moments."""
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
    """Return Adam's numbers for the step of that number, counted from 1."""
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
    """Train on a block of tokens; for shapes see ``online_block.train_block``.

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
