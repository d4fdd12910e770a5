"""Compiled training on a block of tokens, on the network's and Adam's own tensors."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cvfp_opt.model.compiled_layer import Layer, Rule, Stream, Trained
from cvfp_opt.model.compiled_online import train
from cvfp_opt.model.network import ContextNetwork

States = dict[Tensor, dict[str, Tensor]]  # Adam's, by parameter


def _trained(parameter: Tensor, state: dict[str, Tensor] | None, rows: int) -> Trained:
    """Wrap the first rows of a parameter and of its moments, without copying.

    The moments are empty for a parameter that is not trained.
    """
    value = parameter.detach().numpy()[:rows]
    if state is None:
        return Trained(value, value[:0], value[:0])
    return Trained(value, state["exp_avg"].numpy()[:rows], state["exp_avg_sq"].numpy()[:rows])


def _fresh_state(parameter: Tensor) -> dict[str, Tensor]:
    """Make the state that torch's Adam gives a parameter at its first step."""
    return {
        "step": torch.zeros((), dtype=torch.float32),
        "exp_avg": torch.zeros_like(parameter),
        "exp_avg_sq": torch.zeros_like(parameter),
    }


def _arrays(network: ContextNetwork, states: States) -> tuple[Layer, ...]:
    """Wrap a network and the states of its parameters for the kernel, without copying weights."""
    split = network.config.context_size
    width = split + network.config.embedding_size
    like = next(network.parameters()).detach().numpy()

    def zeros(*shape: int) -> NDArray[Any]:
        return np.zeros(shape, like.dtype)

    def trained(module: nn.Module, name: str, rows: int) -> Trained:
        parameter = module.get_parameter(name)
        return _trained(parameter, states.get(parameter), rows)

    def stream(norm: nn.LayerNorm, size: int) -> Stream:
        gain, bias = (trained(norm, name, size) for name in ("weight", "bias"))
        return Stream(gain, bias, zeros(size), np.ones(1), zeros(size), zeros(size))

    layers = []
    for layer in network.context_layers:
        rows = split if layer is network.layers[-1] else width
        layers.append(
            Layer(
                weight=trained(layer.linear, "weight", rows),
                bias=trained(layer.linear, "bias", rows),
                context=stream(layer.context_norm, split),
                token=stream(layer.token_norm, rows - split),
                inputs=zeros(2, width),
                h=zeros(rows),
                gradient=zeros(rows),
                decay=np.ones((rows, 2)),
            )
        )
    return tuple(layers)


def train_block(
    network: ContextNetwork,
    optimizer: torch.optim.Adam,
    rule: Rule,
    tokens: Tensor,
    context: Tensor,
    target: Tensor | None,
    mean: Tensor | None,
    out: Tensor,
) -> tuple[NDArray[np.float64], int, Tensor]:
    """Train on tokens one by one; parameters and Adam's state change in place.

    Args:
        optimizer: Adam of torch's defaults over the network's parameters.
        rule: losses, clip and Adam of a step.
        tokens: (n, E) embeddings.
        context: (D,) before the first of them.
        target: (n, D) their contexts of the previous pass; None in the first.
        mean: (D,) running mean of contexts; None before the first one.
        out: (n, D) for the contexts.

    Returns:
        Losses (k, 3) of the tokens read: cvfp loss, diversity loss, gradient norm (0 if no step
        was due). k < n if one of the last is not finite. Then steps taken, and the new mean.
    """
    mix, layers = network.context_layers[0].layernorm_mix, network.context_layers
    states: States = {}
    for layer in layers:
        trained = list(layer.linear.parameters())
        if mix != 0.0:
            trained += layer.context_norm.parameters()
            trained += layer.token_norm.parameters() if layer is not layers[-1] else ()
        states |= {p: optimizer.state.get(p) or _fresh_state(p) for p in trained}
    # an int where another run has a float would be compiled anew
    rule = Rule._make(x if isinstance(x, bool) else float(x) for x in rule)
    losses = np.zeros((tokens.shape[0], 3))
    new_mean = torch.zeros_like(context) if mean is None else mean.clone()
    read, taken = train(
        _arrays(network, states),
        rule,
        int(states[layers[0].linear.weight]["step"]),
        tokens.contiguous().numpy(),
        context.contiguous().numpy(),
        (out if target is None else target).contiguous().numpy(),
        target is not None,
        new_mean.numpy(),
        mean is not None,
        out.numpy(),
        losses,
    )
    if taken:  # else none has a state, as with torch's
        for parameter, state in states.items():
            state["step"] += taken
            optimizer.state[parameter] = state
    return losses[:read], taken, new_mean
