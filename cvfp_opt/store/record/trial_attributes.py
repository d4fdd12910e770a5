"""The user attributes of a trial, as they are stored: plain JSON values, each with its keys.

They are dictionaries at run time; a type checker sees their keys. None is required: a trial that
was pruned has no audit, and one of an older version lacks what came later. What the keys of a
trial hold is checked when it is read, by ``attribute_shapes``.
"""

from typing import Any, TypedDict


class StoredScore(TypedDict, total=False):
    """The worth of a trial: the value, and the two figures that it combines."""

    convergence_rate: float
    effective_rank: float
    score: float


class StoredIteration(StoredScore, total=False):
    """One pass and what it was compared with; see training.result.IterationMetrics."""

    iteration: int
    validation_convergence_rate: float
    validation_effective_rank: float
    validation_score: float
    residual: float | None
    weight: float | None
    learning_rate: float | None
    exact: bool
    cvfp_loss: float | None
    diversity_loss: float | None


class StoredConvergence(TypedDict, total=False):
    """Share of tokens below the reference threshold; see model.audit.Convergence."""

    absolute: float
    scale_free: float


class StoredBaseline(StoredScore, total=False):
    """The untrained net of the same set-up; see model.audit.Baseline."""

    validation_convergence_rate: float
    validation_effective_rank: float


class StoredFrozenText(TypedDict, total=False):
    """Two reads of one text with the final weights; see model.audit.FrozenText."""

    convergence: float
    convergence_strict: float
    absolute_convergence: float
    effective_rank: float


class StoredAudit(TypedDict, total=False):
    """The findings of an audit of the trained network; see model.audit.Audit."""

    absolute_convergence: float
    scale_free_convergence: float
    training_validation: StoredConvergence
    training_held_out: StoredConvergence
    residual_quantiles: list[float]
    mean_square: float
    context_norm: float
    global_attractor: bool
    near_zero: bool
    identity_map: bool
    baseline: StoredBaseline
    frozen_train: StoredFrozenText
    frozen_validation: StoredFrozenText
    frozen_held_out: StoredFrozenText
    lyapunov_exponent: float | None
    seconds: float


class StoredEnvironment(TypedDict, total=False):
    """The machine and versions that a study or a trial ran on; see tuning.environment."""

    versions: dict[str, str]
    commit: str
    uncommitted: bool
    host: str
    platform: str
    processor: str
    reader: str
    bfloat16: str
    device: str
    gpu: str
    threads: int
    lanes: int
    code: dict[str, str]
    drift: dict[str, Any]
    worker: str
    deaths: int
    finished: float
    optimizer_steps: int
    diversity_scale: float
    weights_digest: str


class StoredIdentity(TypedDict, total=False):
    """The identity of a trial, see record.identity.TrialIdentity."""

    uuid: str
    seed: int
    number: int
    retry_of: str


class StoredRun(TypedDict, total=False):
    """Which point of a confirmation a trial runs, on which of its seeds."""

    arm: str
    label: str
    seed: int
    changes: dict[str, Any]
