"""The sections [model] and [diversity] of a study definition, and what a score is made of.

Nothing here imports torch: a mistake in a definition is answered before torch is loaded.
"""

from dataclasses import dataclass

from cvfp_opt.errors import DefinitionError, nearest
from cvfp_opt.model.custom_functions import is_foreign

# The names of model.diversity.DIVERSITY_LOSSES.
LOSSES = ("orthogonality", "pairwise_distance", "deviation", "coding_rate", "uniformity")
# Losses that compare the contexts of a minibatch, and have nothing to compare token by token.
NEED_BATCH = frozenset(LOSSES) - {"deviation"}
SCALES = ("none", "untrained")

# Thresholds of the audit on the MSE between two passes.
REFERENCE_THRESHOLD = 0.1
STRICT_THRESHOLD = 0.01


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Sizes of the context network.

    Attributes:
        context_size: Width D of a context. Range: at least 2.
        embedding_size: Width E of a token embedding. Range: at least 2.
        num_layers: Number L of layers, each with weights of its own. Range: at least 1.
    """

    context_size: int = 768
    embedding_size: int = 768
    num_layers: int = 6

    def __post_init__(self) -> None:
        for key, least in (("context_size", 2), ("embedding_size", 2), ("num_layers", 1)):
            if getattr(self, key) < least:
                raise DefinitionError(
                    f"model.{key}: at least {least} is required, got {getattr(self, key)}"
                )


@dataclass(frozen=True, kw_only=True)
class DiversityConfig:
    """Settings of the diversity loss.

    Attributes:
        loss: The loss that keeps contexts apart. With the trainer "online" only "deviation" and
            the user's own are possible. Range: one of LOSSES, or package.module:function.
        scale: "none" takes the loss as it is; "untrained" multiplies it so that it pulls as hard
            as the fixed-point loss does in the untrained network, and one `dist_reg_weight` means
            the same for each loss. Range: one of SCALES.
        mean_momentum: Weight of the old moving average at each context, for the loss "deviation".
            Range: in [0, 1).
    """

    loss: str = "orthogonality"
    scale: str = "none"
    mean_momentum: float = 0.99

    def __post_init__(self) -> None:
        if self.loss not in LOSSES and not is_foreign(self.loss):
            raise DefinitionError(
                f"diversity.loss: unknown loss {self.loss!r}; "
                f"{nearest(self.loss, LOSSES)}, or package.module:function"
            )
        if self.scale not in SCALES:
            raise DefinitionError(
                f"diversity.scale: unknown scale {self.scale!r}; {nearest(self.scale, SCALES)}"
            )
        if not 0.0 <= self.mean_momentum < 1.0:
            raise DefinitionError(
                f"diversity.mean_momentum: 0 <= momentum < 1 must hold, got {self.mean_momentum}"
            )


def combined_score(convergence: float, rank: float, *, convergence_weight: float) -> float:
    """Return ``a * convergence rate + (1 - a) * ER / D``, a the ``convergence_weight``."""
    return convergence_weight * convergence + (1.0 - convergence_weight) * rank
