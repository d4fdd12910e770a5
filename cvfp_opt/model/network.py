"""The context network: one step of the recurrence, ``c_t = f(x_t, c_{t-1})``."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cvfp_opt.errors import DefinitionError
from cvfp_opt.model.config import ModelConfig
from cvfp_opt.model.matrix_products import Product

# Initialisation, as in the original program:
#   linear weight   N(0, 0.1^2)     linear bias      N(0, 0.01^2)
#   LayerNorm gain  1               LayerNorm bias   0
#   embeddings      N(0, 0.02^2), then layer-normalised once (see training.embedding)
WEIGHT_STD = 0.1
BIAS_STD = 0.01


class ContextLayer(nn.Module):
    """One residual layer on the pair (context, token).

    ``h = relu(W [context; token] + b)``; ``context += h[:D]``, ``token += h[D:]``; then on
    each stream ``v <- (1 - m) v + m LayerNorm(v)`` with a gain and bias of its own.
    """

    def __init__(self, context_size: int, embedding_size: int, layernorm_mix: float) -> None:
        super().__init__()
        width = context_size + embedding_size
        self.layernorm_mix = layernorm_mix
        self.linear = nn.Linear(width, width)
        self.context_norm = nn.LayerNorm(context_size)
        self.token_norm = nn.LayerNorm(embedding_size)

    def forward(
        self, context: Tensor, token: Tensor, product: Product = F.linear
    ) -> tuple[Tensor, Tensor]:
        """Map context (..., D) and token (..., E) to the next layer's pair."""
        pair, split = torch.cat([context, token], dim=-1), context.shape[-1]
        h = F.relu(product(pair, self.linear.weight, self.linear.bias))  # (..., D + E)
        context = self._mix(context + h[..., :split], self.context_norm)
        token = self._mix(token + h[..., split:], self.token_norm)
        return context, token

    def context_only(self, context: Tensor, token: Tensor, product: Product = F.linear) -> Tensor:
        """Map the pair to the next context alone, which is all the last layer is asked for."""
        pair, split = torch.cat([context, token], dim=-1), context.shape[-1]
        h = F.relu(product(pair, self.linear.weight[:split], self.linear.bias[:split]))
        return self._mix(context + h, self.context_norm)

    def _mix(self, value: Tensor, norm: nn.LayerNorm) -> Tensor:
        if self.layernorm_mix == 0.0:
            return value
        normalized: Tensor = norm(value)
        if self.layernorm_mix == 1.0:
            return normalized
        return torch.lerp(value, normalized, self.layernorm_mix)


class ContextNetwork(nn.Module):
    """A stack of L residual layers; returns the last layer's context.

    Args:
        config: the sizes.
        layernorm_mix: m in [0, 1]; 0 switches LayerNorm off, 1 is plain LayerNorm.
        generator: source of the initial weights; the same generator state gives the same bits.

    Raises:
        DefinitionError: ``layernorm_mix`` outside [0, 1].
    """

    def __init__(
        self, config: ModelConfig, *, layernorm_mix: float, generator: torch.Generator
    ) -> None:
        super().__init__()
        if not 0.0 <= layernorm_mix <= 1.0:
            raise DefinitionError(f"layernorm_mix must lie in [0, 1], got {layernorm_mix}")
        self.config = config
        self.layers = nn.ModuleList(
            ContextLayer(config.context_size, config.embedding_size, layernorm_mix)
            for _ in range(config.num_layers)
        )
        with torch.no_grad():
            for layer in self.context_layers:
                layer.linear.weight.normal_(0.0, WEIGHT_STD, generator=generator)
                layer.linear.bias.normal_(0.0, BIAS_STD, generator=generator)

    @property
    def context_layers(self) -> list[ContextLayer]:
        """The layers, first to last."""
        return [layer for layer in self.layers if isinstance(layer, ContextLayer)]

    def forward(self, context: Tensor, token: Tensor, product: Product = F.linear) -> Tensor:
        """Take one step in any number of lanes: context (..., D), token (..., E) -> (..., D).

        Args:
            product: the product of the layers' matrices, see model.matrix_products.
        """
        *layers, last = self.context_layers
        for layer in layers:
            context, token = layer(context, token, product)
        return last.context_only(context, token, product)
