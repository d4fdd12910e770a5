"""The user attributes of a trial, as they are stored: plain JSON values, each with its keys.

They are dictionaries at run time; a type checker sees their keys. None is required: a trial that
was pruned has no audit, and one of an older version lacks what came later. What the keys of a
trial hold is checked when it is read, by ``attribute_shapes``.
"""

from typing import Any, TypedDict


class StoredScore(TypedDict, total=False):
    """The worth of a trial: the value, and the two figures that it combines.

    Attributes:
        convergence_rate: share of tokens that moved less than the threshold, from 0 to 1.
        effective_rank: effective rank of the contexts / D, from 0 to 1.
        score: the two combined.
    """

    convergence_rate: float
    effective_rank: float
    score: float


class StoredIteration(StoredScore, total=False):
    """One pass and what it was compared with; see training.result.IterationMetrics.

    Attributes:
        iteration: number of the pass, from 0.
        validation_convergence_rate, validation_effective_rank, validation_score: the same on the
            validation split.
        residual: mean over tokens of what a context moved since the previous pass.
        weight: the diversity weight trained with after this pass; null if none was.
        learning_rate: trained with after this pass; null if none was.
        exact: whether both passes were exact.
        cvfp_loss, diversity_loss: means over the minibatches trained after this pass.
        lyapunov_exponent: growth of a small offset with the weights after this pass, in nats per
            token; null where no pruner asked for it.
    """

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
    lyapunov_exponent: float | None


class StoredConvergence(TypedDict, total=False):
    """Share of tokens below the reference threshold; see model.audit.Convergence.

    Attributes:
        absolute: by what a context moved.
        scale_free: by what it moved, relative to the contexts' size.
    """

    absolute: float
    scale_free: float


class StoredBaseline(StoredScore, total=False):
    """The untrained net of the same set-up; see model.audit.Baseline.

    Attributes:
        score: that the network has without any training: a trial's score is worth what it
            exceeds this.
        validation_convergence_rate, validation_effective_rank: on the validation split.
    """

    validation_convergence_rate: float
    validation_effective_rank: float


class StoredFrozenText(TypedDict, total=False):
    """Two reads of one text with the final weights; see model.audit.FrozenText.

    Attributes:
        convergence: share of tokens at a fixed point, scale-free at 0.1.
        convergence_strict: the same at 0.01.
        absolute_convergence: share of tokens that moved less than 0.1.
        effective_rank: effective rank of the second read / D.
    """

    convergence: float
    convergence_strict: float
    absolute_convergence: float
    effective_rank: float


class StoredAudit(TypedDict, total=False):
    """The findings of an audit of the trained network; docs/audit.md says what they mean.

    Attributes:
        absolute_convergence: share of tokens that moved less than 0.1 in the last pass.
        scale_free_convergence: the same, relative to the contexts' size: shrinking does not help.
        training_validation, training_held_out: both, on the validation split and on text that
            was never trained on.
        residual_quantiles: of what contexts moved in the last pass, at even levels from 0 to 1.
        mean_square: of the contexts of the last pass; 1 at unit power.
        context_norm: mean norm of a context.
        global_attractor: whether all contexts are the same: the net is worth nothing.
        near_zero: whether all contexts vanish: the net is worth nothing.
        identity_map: whether contexts copy their token: the net is worth nothing.
        baseline: the same net without any training.
        frozen_train, frozen_validation, frozen_held_out: the final net on text that it saw, on
            the validation split and on text that it never saw.
        lyapunov_exponent: growth of a small offset, in nats per token; null if -inf.
        seconds: wall time of the audit.
    """

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


class StoredProbe(TypedDict, total=False):
    """The next-token probe of contexts beside the embedding; see model.probe.ProbeResult.

    Attributes:
        train_perplexity, held_out_perplexity: of the next token; lower is better.
        train_accuracy, held_out_accuracy: share of tokens that are the likeliest, from 0 to 1.
        epochs: epochs of the probe's training, the last of which may be cut off.
        learning_rate: the probe's, before it falls.
    """

    train_perplexity: float
    train_accuracy: float
    held_out_perplexity: float
    held_out_accuracy: float
    epochs: int
    learning_rate: float


class StoredEnvironment(TypedDict, total=False):
    """The machine and versions that a study or a trial ran on; see tuning.environment.

    Attributes:
        versions: of Python and packages.
        commit: of this program's repository.
        uncommitted: whether it had changes.
        device: "cpu" or "cuda".
        threads: of torch.
        lanes: trials that the process computed together.
        code: SHA-256 of the file of each loss or schedule of the user's own, by its name.
        drift: what was allowed to differ from the study.
        worker: id of the last worker that ran it.
        deaths: workers that died with it.
        finished: when it ended, epoch seconds.
        optimizer_steps: steps taken.
        weights_digest: SHA-256 over the final weights, hexadecimal.
    """

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
    """The identity of a trial, see record.identity.TrialIdentity.

    Attributes:
        uuid: its own name, the same in every copy.
        seed: the study's seed when it was created.
        number: its number at that time; with the seed it decides all that is random.
        retry_of: uuid of the trial whose point it repeats; empty for none.
    """

    uuid: str
    seed: int
    number: int
    retry_of: str


class StoredRun(TypedDict, total=False):
    """Which point of a confirmation a trial runs, on which of its seeds.

    Attributes:
        arm: the source trial's uuid, "default" or "untrained".
        label: the point's name, for people.
        seed: a fresh seed, from 0.
        changes: to the definition.
    """

    arm: str
    label: str
    seed: int
    changes: dict[str, Any]
