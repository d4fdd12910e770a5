"""The outcome of one training run: a value, never an exception."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cvfp_opt.model.audit import Audit
    from cvfp_opt.model.probe import ProbeResult


class Status(StrEnum):
    """How a run ended; the values are the user's words."""

    FINISHED = "finished"
    CONVERGED_EARLY = "converged early"
    PRUNED = "pruned"
    DIVERGED = "diverged"


@dataclass(frozen=True, kw_only=True)
class IterationMetrics:
    """The metrics of one iteration: of a pass, and of what it was compared with.

    Attributes:
        iteration: k, from 0.
        convergence_rate: share of tokens that moved less than the trial's threshold; 0 at k = 0.
        effective_rank: ER / D.
        score: the two combined.
        validation_convergence_rate, validation_effective_rank, validation_score: the same on
            the validation split.
        exact: whether both passes were exact; False where one was ``segment_pass``.
        residual: mean over tokens of the MSE against the previous pass; None at k = 0.
        lyapunov_exponent: growth of a small offset, in nats per token, with the weights after
            this pass; None where it is -inf, and after passes where nothing depends on it.
        weight: the diversity weight trained with after this pass; None if none was.
        learning_rate: trained with after this pass; None if none was.
        cvfp_loss, diversity_loss: means over the minibatches trained after this pass; the latter
            scaled as it was trained with.
    """

    iteration: int
    convergence_rate: float
    effective_rank: float
    score: float
    validation_convergence_rate: float
    validation_effective_rank: float
    validation_score: float
    residual: float | None
    weight: float | None = None
    learning_rate: float | None = None
    exact: bool = True
    cvfp_loss: float | None = None
    diversity_loss: float | None = None
    lyapunov_exponent: float | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """Everything that a run gives.

    Attributes:
        status: how it ended.
        reason: one sentence for the user; for DIVERGED which quantity, where.
        iterations: one entry a pass, in order; the last one holds the reported metrics.
        audit: None unless the run came to its end.
        optimizer_steps: steps taken.
        diversity_scale: factor on the diversity loss, see model.diversity.untrained_scale.
        weights_digest: SHA-256 over the final weights, hexadecimal.
        seconds: wall time per phase: pass, training, rank, audit, probe.
        downstream: the next-token probe of contexts beside the embedding; None unless
            ``objective.downstream`` asks for it and the run came to its end.
    """

    status: Status
    reason: str
    iterations: tuple[IterationMetrics, ...]
    audit: "Audit | None"
    optimizer_steps: int
    diversity_scale: float
    weights_digest: str
    seconds: dict[str, float]
    downstream: "ProbeResult | None" = None

    @property
    def last(self) -> IterationMetrics | None:
        """The metrics that the run reports; None if not even one pass was possible."""
        return self.iterations[-1] if self.iterations else None

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain JSON values."""
        return asdict(self) | {
            "status": self.status.value,
            "iterations": [asdict(one) for one in self.iterations],
            "audit": self.audit.to_dict() if self.audit else None,
        }
