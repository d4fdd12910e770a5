"""The audit: measure a finished network on terms that no trial can choose.

The score can be raised without a better network: by a looser threshold, by smaller contexts, by
contexts that are all alike. docs/audit.md says which question each figure answers.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from cvfp_opt.model.config import REFERENCE_THRESHOLD, STRICT_THRESHOLD
from cvfp_opt.model.lyapunov import lyapunov_exponent
from cvfp_opt.model.metrics import (
    convergence_rate,
    effective_rank,
    mean_square,
    residual_quantiles,
    residuals,
)
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.model.passes import Chains, Lane
from cvfp_opt.model.segments import exact_passes

# Degeneracy is judged on this many tokens, evenly spaced.
SAMPLE = 512
ATTRACTOR_DISTANCE = 0.1
ATTRACTOR_COSINE = 0.99
ZERO_NORM = 0.1
IDENTITY_COSINE = 0.95


@dataclass(frozen=True, kw_only=True)
class FrozenText:
    """Two reads of one text with the final weights, compared.

    Attributes:
        convergence: share of tokens with MSE / mean square below REFERENCE_THRESHOLD.
        convergence_strict: share of tokens with MSE / mean square below STRICT_THRESHOLD.
        absolute_convergence: share of tokens with MSE below REFERENCE_THRESHOLD.
        effective_rank: ER / D of the second read.
    """

    convergence: float
    convergence_strict: float
    absolute_convergence: float
    effective_rank: float


@dataclass(frozen=True, kw_only=True)
class Convergence:
    """Shares of tokens below REFERENCE_THRESHOLD, by the MSE and by MSE / mean square."""

    absolute: float
    scale_free: float


@dataclass(frozen=True, kw_only=True)
class Movement:
    """How far contexts moved between two passes."""

    residuals: Tensor
    power: float

    @classmethod
    def between(cls, contexts: Tensor, previous: Tensor) -> Self:
        """Compare two reads (N, D) of one text."""
        return cls(residuals=residuals(contexts, previous), power=mean_square(contexts))

    @property
    def convergence(self) -> Convergence:
        """Convergence at REFERENCE_THRESHOLD."""
        return Convergence(
            absolute=convergence_rate(self.residuals, REFERENCE_THRESHOLD),
            scale_free=convergence_rate(self.residuals, REFERENCE_THRESHOLD * self.power),
        )


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """Figures of the untrained net: same initial weights, text and threshold, no training.

    Attributes:
        convergence_rate: its second pass against its first, at the trial's threshold.
        effective_rank: ER / D of its first pass over the training text.
        validation_convergence_rate, validation_effective_rank: the same on the validation text.
        score: rate and rank on the split that is scored, combined as for the trial.
    """

    convergence_rate: float
    effective_rank: float
    validation_convergence_rate: float
    validation_effective_rank: float
    score: float


@dataclass(frozen=True, kw_only=True)
class Audit:
    """All figures of an audit. Thresholds are on the MSE; *scale-free*: on MSE / mean square.

    Attributes:
        absolute_convergence: at REFERENCE_THRESHOLD, between the last two passes of training.
        scale_free_convergence: the same, scale-free.
        training_validation, training_held_out: both, on the validation split and on text that
            was never trained on, read with the weights of the same two passes.
        residual_quantiles: quantiles of the last pass's residuals, at even levels from 0 to 1.
        mean_square: mean square of the last pass's contexts; 1 at unit power.
        context_norm: mean over tokens of ||c||_2.
        global_attractor: all contexts are the same.
        near_zero: all contexts vanish.
        identity_map: contexts copy their token's embedding (never, where D differs from E).
        baseline: the untrained net.
        frozen_train, frozen_validation, frozen_held_out: the final net on text that it saw, on
            the validation split and on text that it never saw.
        lyapunov_exponent: growth with the final weights, in nats per token; None if -inf.
        seconds: wall time of the audit, which the caller measures.
    """

    absolute_convergence: float
    scale_free_convergence: float
    training_validation: Convergence
    training_held_out: Convergence
    residual_quantiles: tuple[float, ...]
    mean_square: float
    context_norm: float
    global_attractor: bool
    near_zero: bool
    identity_map: bool
    baseline: Baseline
    frozen_train: FrozenText
    frozen_validation: FrozenText
    frozen_held_out: FrozenText
    lyapunov_exponent: float | None
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain JSON values."""
        return asdict(self) | {"residual_quantiles": list(self.residual_quantiles)}


def frozen_text(first: Tensor, second: Tensor) -> FrozenText:
    """Compare two reads (T, D) of one text."""
    power = mean_square(second)
    moved = residuals(second, first)
    between = moved / power if power > 0 else moved
    return FrozenText(
        convergence=convergence_rate(between, REFERENCE_THRESHOLD),
        convergence_strict=convergence_rate(between, STRICT_THRESHOLD),
        absolute_convergence=convergence_rate(moved, REFERENCE_THRESHOLD),
        effective_rank=effective_rank(second),
    )


def identity_cosine(contexts: Tensor, embeddings: Tensor) -> float | None:
    """Return the mean cosine of contexts (T, D) with their tokens' embeddings (T, E).

    None where D != E.
    """
    if contexts.shape[1] != embeddings.shape[1]:
        return None
    return F.cosine_similarity(contexts, embeddings, dim=-1).mean().item()


def degeneracy(contexts: Tensor, embeddings: Tensor) -> dict[str, bool]:
    """Check contexts (T, D), given their tokens' embeddings (T, E), for three degeneracies."""
    count = min(SAMPLE, contexts.shape[0])
    chosen = torch.linspace(0, contexts.shape[0] - 1, count, device=contexts.device).long()
    sample = contexts[chosen]
    pairs = max(1, count * (count - 1))
    unit = F.normalize(sample, dim=-1)
    cosine = ((unit @ unit.T).sum() - count).item() / pairs
    distance = F.pdist(sample.float()).mean().item() if count > 1 else math.inf
    copied = identity_cosine(contexts, embeddings)
    return {
        "global_attractor": distance < ATTRACTOR_DISTANCE and cosine > ATTRACTOR_COSINE,
        "near_zero": torch.linalg.vector_norm(contexts, dim=-1).mean().item() < ZERO_NORM,
        "identity_map": copied is not None and copied > IDENTITY_COSINE,
    }


@dataclass(frozen=True, kw_only=True)
class AuditTexts:
    """The texts that an audit reads.

    Attributes:
        train: (T, E) embeddings of the training text.
        held_out: (V, E) embeddings of text that was never trained on.
        num_validation: length of the validation split if it is the tail of the training text;
            0 if it is the held-out text.
    """

    train: Tensor
    held_out: Tensor
    num_validation: int


def audit_network(
    network: ContextNetwork,
    texts: AuditTexts,
    *,
    contexts: Tensor,
    moved: Movement,
    moved_validation: Movement,
    previous_held_out: Tensor,
    baseline: Baseline,
    generator: torch.Generator,
    repair: bool = False,
    on_tokens: Callable[[int], None] | None = None,
    chains: Chains | None = None,
) -> Audit:
    """Audit a trained net; costs one pass over the training and two over the held-out text.

    Args:
        network: the network, with its final weights.
        texts: the texts to read; the held-out text twice in one lane, beside the training text.
        contexts: (T, D) of the last pass over the training text, read with these weights.
        moved, moved_validation: training text and validation split, in the last iteration.
        previous_held_out: (V, D) of the held-out text, read with the weights of the pass before.
        baseline: the untrained net's figures.
        generator: source of the Lyapunov probe's offsets.
        repair: whether passes within model.segments.TOLERANCE will do.
        on_tokens: progress, in tokens read so far by the audit.
        chains: the reader of chains; None for the default of the device.

    Raises:
        ContextOverflow: from a pass.
    """
    again, twice = exact_passes(
        network,
        [Lane(texts.train, contexts[-1]), Lane(texts.held_out.repeat(2, 1), contexts[-1])],
        [contexts, previous_held_out.repeat(2, 1)],
        repair=repair,
        on_tokens=on_tokens,
        chains=chains,
    )
    held_out, held_out_again = twice.chunk(2)
    exponent = lyapunov_exponent(network, texts.train, again, generator)
    frozen_held_out = frozen_text(held_out, held_out_again)
    tail = slice(-texts.num_validation, None)
    return Audit(
        absolute_convergence=moved.convergence.absolute,
        scale_free_convergence=moved.convergence.scale_free,
        training_validation=moved_validation.convergence,
        training_held_out=Movement.between(held_out, previous_held_out).convergence,
        residual_quantiles=residual_quantiles(moved.residuals),
        mean_square=moved.power,
        context_norm=torch.linalg.vector_norm(contexts, dim=-1).mean().item(),
        **degeneracy(contexts, texts.train),
        baseline=baseline,
        frozen_train=frozen_text(contexts, again),
        frozen_validation=(
            frozen_text(contexts[tail], again[tail]) if texts.num_validation else frozen_held_out
        ),
        frozen_held_out=frozen_held_out,
        lyapunov_exponent=exponent if math.isfinite(exponent) else None,
    )
