"""Several networks of one size as one: weights stacked, each product a batched one.

One network's step is too small for a GPU, which spends its time on starting kernels; N of them
started at once cost little more than one. Axes: N networks, B rows of a network's own product,
D context, E token. Networks do not mix: what overflows in one leaves the others' figures alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from cvfp_opt.model.matrix_products import STACKED_PRODUCTS
from cvfp_opt.model.network import ContextNetwork

# Programs that StackedReader keeps: for one and for two texts a network, and for lanes that are
# out of step with the others. Each holds a copy of its networks' weights.
MAX_PROGRAMS = 4


@dataclass(frozen=True, kw_only=True)
class Stack:
    """The weights of N networks.

    Attributes:
        weights: the weights by ContextNetwork's names, (N, ...) each.
        mix: (N, 1, 1) each network's layernorm_mix.
        num_layers: L.
    """

    weights: Mapping[str, Tensor]
    mix: Tensor
    num_layers: int

    @classmethod
    def of(cls, networks: Sequence[ContextNetwork]) -> Self:
        """Copy the networks' weights, as leaves of a new graph."""
        parts = [dict(network.named_parameters()) for network in networks]
        first = next(iter(parts[0].values()))
        mixes = [network.context_layers[0].layernorm_mix for network in networks]
        with torch.no_grad():
            weights = {name: torch.stack([part[name] for part in parts]) for name in parts[0]}
        return cls(
            weights=weights,
            mix=first.new_tensor(mixes).reshape(-1, 1, 1),
            num_layers=networks[0].config.num_layers,
        )

    def step(self, contexts: Tensor, tokens: Tensor, precision: str) -> Tensor:
        """Take each network's step: (N, B, D), (N, B, E) -> (N, B, D); see ``ContextNetwork``."""
        product, split = STACKED_PRODUCTS[precision], contexts.shape[-1]
        for layer in range(self.num_layers):
            last = layer == self.num_layers - 1
            rows = split if last else None  # the last layer's token half is not asked for
            weight = self.weights[f"layers.{layer}.linear.weight"][:, :rows]  # (N, rows, D + E)
            bias = self.weights[f"layers.{layer}.linear.bias"][:, None, :rows]  # (N, 1, rows)
            h = F.relu(product(torch.cat([contexts, tokens], dim=-1), weight, bias))
            contexts = self._mix(contexts + h[..., :split], f"layers.{layer}.context_norm")
            if not last:
                tokens = self._mix(tokens + h[..., split:], f"layers.{layer}.token_norm")
        return contexts

    def _mix(self, value: Tensor, norm: str) -> Tensor:
        """Return ``(1 - m) v + m LayerNorm(v)``; lerp gives m = 0 and m = 1 exactly."""
        gain, bias = (self.weights[f"{norm}.{name}"].unsqueeze(1) for name in ("weight", "bias"))
        return torch.lerp(value, F.layer_norm(value, value.shape[-1:]) * gain + bias, self.mix)


class StackedForward:
    """One forward pass of N networks, and the gradients of their weights.

    Args:
        networks: N networks of one size.
        contexts, tokens: (N, B, D) and (N, B, E), without gradient.
        precision: a key of PRODUCTS.

    Attributes:
        contexts: (N, B, D) what the networks gave, without gradient.
    """

    def __init__(
        self,
        networks: Sequence[ContextNetwork],
        contexts: Tensor,
        tokens: Tensor,
        precision: str,
    ) -> None:
        stack = Stack.of(networks)
        self._weights = {name: weight.requires_grad_() for name, weight in stack.weights.items()}
        with torch.enable_grad():
            self._out = stack.step(contexts, tokens, precision)
        self.contexts = self._out.detach()

    def gradients(self, outer: Mapping[int, Tensor]) -> list[dict[str, Tensor]]:
        """Return the gradients of each network's weights, by name; callable once.

        Args:
            outer: (B, D) gradient of a loss by a network's contexts, by its index; networks that
                are left out have none.
        """
        whole = torch.zeros_like(self.contexts)
        for index, gradient in outer.items():
            whole[index] = gradient
        found = torch.autograd.grad(
            self._out, list(self._weights.values()), whole, allow_unused=True
        )
        # a product's gradient comes transposed in memory, which torch's fused Adam on a CPU takes
        # for the parameter's own layout without a word
        named = {
            n: g.contiguous() for n, g in zip(self._weights, found, strict=True) if g is not None
        }
        return [{n: g[index] for n, g in named.items()} for index in range(len(whole))]


class _TokenProgram:
    """One token's step in buffers that keep their place, so that a CUDA graph can replay it."""

    def __init__(self, stack: Stack, contexts: Tensor, tokens: Tensor, precision: str) -> None:
        def rounded(weight: Tensor) -> Tensor:
            matrix = weight.ndim == 3
            return weight.bfloat16() if matrix and precision == "bfloat16" else weight.clone()

        weights = {name: rounded(weight) for name, weight in stack.weights.items()}
        self._stack = Stack(weights=weights, mix=stack.mix.clone(), num_layers=stack.num_layers)
        self._contexts, self._tokens = contexts.clone(), tokens.clone()
        self._precision = precision
        self._step = _captured(self._once) if contexts.is_cuda else self._once

    def _once(self) -> None:
        after = self._stack.step(self._contexts, self._tokens, self._precision)
        self._contexts.copy_(after)

    def read(self, stack: Stack, contexts: Tensor, tokens: Tensor) -> Tensor:
        """Read chains: (N, B, D), (N, B, T, E) -> (N, B, T, D)."""
        for name, weight in stack.weights.items():
            self._stack.weights[name].copy_(weight)
        self._stack.mix.copy_(stack.mix)
        self._contexts.copy_(contexts)
        out = contexts.new_empty(*tokens.shape[:-1], contexts.shape[-1])
        for t in range(tokens.shape[2]):
            self._tokens.copy_(tokens[:, :, t])
            self._step()
            out[:, :, t] = self._contexts
        return out


def _captured(step: Callable[[], None]) -> Callable[[], None]:
    """Capture the kernels of ``step`` as a CUDA graph: one launch a token, not a hundred.

    Warmed up on a stream of its own, as torch's documentation of CUDA graphs asks for. Other
    threads may allocate meanwhile (a trial that is being prepared): hence "thread_local".
    """
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        step()
    return graph.replay


class StackedReader:
    """Reads texts with several networks at once; keeps the programs that were used last."""

    def __init__(self) -> None:
        self._programs: dict[tuple[object, ...], _TokenProgram] = {}

    @torch.no_grad()
    def read(
        self,
        networks: Sequence[ContextNetwork],
        contexts: Tensor,
        tokens: Tensor,
        precision: str,
    ) -> Tensor:
        """Read token by token, and return the contexts after each token.

        Args:
            networks: N, of one size.
            contexts: (N, B, D) to start from: B reads a network.
            tokens: (N, B, T, E).
            precision: a key of PRODUCTS.

        Returns:
            (N, B, T, D).
        """
        stack = Stack.of(networks)
        key = (networks[0].config, contexts.shape, contexts.dtype, contexts.device, precision)
        program = self._programs.pop(key, None)
        if program is None:
            program = _TokenProgram(stack, contexts, tokens[:, :, 0], precision)
            while len(self._programs) >= MAX_PROGRAMS:
                self._programs.pop(next(iter(self._programs)))  # the one used longest ago
        self._programs[key] = program  # used last
        return program.read(stack, contexts, tokens)
