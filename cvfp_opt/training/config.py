"""The settings of a training run, and of the score that it is given."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cvfp_opt.errors import DefinitionError, nearest
from cvfp_opt.model.config import REFERENCE_THRESHOLD, STRICT_THRESHOLD, combined_score
from cvfp_opt.training.learning_rates import LEARNING_RATE_SCHEDULES

if TYPE_CHECKING:
    from cvfp_opt.model.audit import FrozenText
    from cvfp_opt.training.result import IterationMetrics, TrainingResult

# The names of training.trainers.TRAINERS and of model.matrix_products.PRODUCTS.
TRAINER_NAMES = ("batch", "online")
PRECISIONS = ("float32", "bfloat16")

OWN_THRESHOLD = "trial"
# Final convergence rate that a residual is worth for being a factor of e nearer to the threshold:
# 0.28 to 0.41, fitted to 36 trials after 1, 2 and 4 iterations.
LOG_SHARE = 0.3
# Residual below which a run is taken to settle, if its learning rate falls to 0: half of that of
# two unrelated contexts of unit power. Chosen by 25 complete trials: docs/experiments.md.
SETTLING = 1.0
# Convergence rate that an exponent of 1 nat per token costs, where an audit decides what can win.
PARTING_SHARE = 0.5
KINDS = ("score", "pareto")
CONVERGENCES = ("training", "frozen")
SPLITS = ("train", "validation")
FROZEN_SPLITS = (*SPLITS, "held_out")
STEP_RULES = ("always", "positive_loss")
CVFP_LOSSES = ("raw", "normalized")
FEASIBLE = ("audit", "any")
FROZEN_THRESHOLDS = (REFERENCE_THRESHOLD, STRICT_THRESHOLD)
TRAINING_PASSES = ("exact", "segments")
MEASURING_PASSES = ("sequential", "repaired", "sampled")
# Values that the online trainer cannot have, with those that it takes instead: it multiplies
# vectors, trains inside its pass, and steps through blocks of tokens at one learning rate.
_INSTEAD_ONLINE = {
    ("precision", "bfloat16"): "float32",
    ("training_pass", "segments"): "exact",
    ("learning_rate_schedule", "cosine"): "constant",
}


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The training protocol.

    Attributes:
        trainer: How the network is trained. Range: one of TRAINER_NAMES.
        num_iterations: Passes over the text; after the last one nothing is trained. Range: at
            least 2.
        minibatch_size: Token positions B in an optimizer step of the trainer "batch", at most
            data.train_tokens. Range: at least 2.
        num_epochs: Times that the trainer "batch" trains on each position between two passes; 0
            trains nothing, and shows the untrained network. Range: at least 0.
        learning_rate_schedule: "constant" keeps the trial's learning rate; "linear" lets it fall
            in equal steps over the iterations that train, towards the 0 that the next one would
            have; "cosine" along half a cosine, a little with each optimizer step, to 0 at the last
            one (trainer "batch" only). Range: one of LEARNING_RATE_SCHEDULES.
        gradient_clip: Limit on the norm of all gradients together. Range: positive.
        min_converged_ratio: Convergence rate at which a run stops early; 0 to train to the end.
            Range: in [0, 1].
        step_rule: "always" takes each optimizer step; "positive_loss" only those where the total
            loss is positive, which is the original program's hidden rule. Range: one of
            STEP_RULES.
        cvfp_loss: "raw" compares contexts; "normalized" only their directions, which is the
            original program's first bug. Range: one of CVFP_LOSSES.
        detach_context: Whether gradients end at the incoming context; false is the original
            program's second bug, and possible with the trainer "online" only. Range: true or
            false.
        precision: Number type of the matrix products of the trainer "batch". The trainer "online"
            requires "float32". Range: one of PRECISIONS.
        training_pass: Where contexts come from that are only trained on: "exact" takes the same
            pass as for those that are reported; "segments" reads stretches of the text side by
            side, which is several times faster and possible with the trainer "batch" only. The
            first pass and the last two are read as measuring_pass says. Range: one of
            TRAINING_PASSES.
        measuring_pass: What an exact pass is: "sequential" reads token by token; "repaired" gives
            the same within 1e-5 of a context's length where the network contracts, and is faster;
            "sampled" is "repaired", and reads stretches side by side with the untrained network
            where that is chaotic, so that each of its passes is but a sample. Range: one of
            MEASURING_PASSES.
    """

    trainer: str = "batch"
    num_iterations: int = 12
    minibatch_size: int = 256
    num_epochs: int = 1
    learning_rate_schedule: str = "cosine"
    gradient_clip: float = 1.0
    min_converged_ratio: float = 0.0
    step_rule: str = "always"
    cvfp_loss: str = "raw"
    detach_context: bool = True
    precision: str = "bfloat16"
    training_pass: str = "segments"
    measuring_pass: str = "sampled"

    def __post_init__(self) -> None:
        for key, least in (("num_iterations", 2), ("minibatch_size", 2), ("num_epochs", 0)):
            if getattr(self, key) < least:
                raise DefinitionError(
                    f"training.{key}: at least {least} is required, got {getattr(self, key)}"
                )
        for key, valid in (
            ("step_rule", STEP_RULES),
            ("cvfp_loss", CVFP_LOSSES),
            ("learning_rate_schedule", LEARNING_RATE_SCHEDULES),
            ("precision", PRECISIONS),
            ("training_pass", TRAINING_PASSES),
            ("measuring_pass", MEASURING_PASSES),
        ):
            value = getattr(self, key)
            if value not in valid:
                raise DefinitionError(
                    f"training.{key}: unknown value {value!r}; {nearest(value, valid)}"
                )
        if not self.detach_context and self.trainer == "batch":
            raise DefinitionError(
                'training.detach_context = false: possible with trainer = "online" only, '
                'got trainer = "batch", whose incoming contexts are data'
            )
        refused = [
            (key, value, instead)
            for (key, value), instead in _INSTEAD_ONLINE.items()
            if getattr(self, key) == value
        ]
        if self.trainer == "online" and refused:
            got = ", ".join(f'{key} = "{value}"' for key, value, _ in refused)
            add = " ".join(f"--set training.{key}={instead}" for key, _, instead in refused)
            raise DefinitionError(
                f'training.trainer = "online": {got} needs trainer = "batch"; add {add}'
            )
        if not 0 < self.gradient_clip < math.inf:
            raise DefinitionError(
                f"training.gradient_clip: a positive number is required, got {self.gradient_clip}"
            )
        if not 0.0 <= self.min_converged_ratio <= 1.0:
            raise DefinitionError(
                "training.min_converged_ratio: 0 <= ratio <= 1 must hold, "
                f"got {self.min_converged_ratio}"
            )


@dataclass(frozen=True, kw_only=True)
class Scored:
    """The worth of a run: a convergence rate, ER / D, and the two combined."""

    convergence_rate: float
    effective_rank: float
    score: float


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """The score: ``convergence_weight * convergence rate + effective_rank_weight * ER / D``.

    Attributes:
        kind: "score" is one objective; with "pareto" convergence rate and effective rank are two,
            and nothing is pruned. Range: one of KINDS.
        downstream: Whether the use of contexts is a third objective of kind "pareto": minus the
            natural logarithm of the held-out perplexity of a linear probe, which predicts the next
            token from the final network's contexts beside the embedding. The score stays what it
            is. Range: true or false.
        convergence: "training" compares the last two passes of training; "frozen" two reads with
            the final weights, scale-free, with the rank of the second: what neither the threshold
            nor the scale of the contexts can raise. Range: one of CONVERGENCES.
        convergence_weight: Weight of the convergence rate in the score; the two weights sum to 1.
            Range: in [0, 1].
        effective_rank_weight: Weight of the effective rank ER / D in the score. Range: in [0, 1].
        threshold: Residual below which a token counts as converged: "trial" takes the trial's own
            `phase1_convergence_threshold`, a number is the same for all trials. With
            convergence = "frozen" it is 0.1 or 0.01. Range: "trial", or positive.
        split: Text that is scored; "held_out" only with convergence = "frozen". Range: one of
            FROZEN_SPLITS.
        feasible: Which trials can be the best: "audit" those that nothing in their audit speaks
            against, as long as there is one, and the sampler learns to avoid the others (Optuna's
            constraints); "any" takes the best score. Range: one of FEASIBLE.
    """

    kind: str = "score"
    downstream: bool = False
    convergence: str = "training"
    convergence_weight: float = 0.5
    effective_rank_weight: float = 0.5
    threshold: str | float = OWN_THRESHOLD
    split: str = "train"
    feasible: str = "audit"

    def __post_init__(self) -> None:
        for key in ("convergence_weight", "effective_rank_weight"):
            if not 0.0 <= getattr(self, key) <= 1.0:
                raise DefinitionError(
                    f"objective.{key}: a weight in [0, 1] is required, got {getattr(self, key)}"
                )
        total = self.convergence_weight + self.effective_rank_weight
        if abs(total - 1.0) > 1e-9:
            raise DefinitionError(
                "objective: convergence_weight + effective_rank_weight must be 1, "
                f"got {self.convergence_weight} + {self.effective_rank_weight} = {total:g}"
            )
        if isinstance(self.threshold, str):
            if self.threshold != OWN_THRESHOLD:
                raise DefinitionError(
                    f'objective.threshold: "{OWN_THRESHOLD}" or a positive number is required, '
                    f"got {self.threshold!r}"
                )
        elif not 0 < self.threshold < math.inf:
            raise DefinitionError(
                f"objective.threshold: a positive number is required, got {self.threshold}"
            )
        splits = FROZEN_SPLITS if self.convergence == "frozen" else SPLITS
        for key, valid in (
            ("kind", KINDS),
            ("convergence", CONVERGENCES),
            ("split", splits),
            ("feasible", FEASIBLE),
        ):
            value = getattr(self, key)
            if value not in valid:
                raise DefinitionError(
                    f"objective.{key}: unknown {key} {value!r}; {nearest(value, valid)}"
                )
        if self.downstream and self.kind != "pareto":
            raise DefinitionError(
                'objective.downstream: true is possible only with objective.kind = "pareto", '
                f'got "{self.kind}"; set that kind, or leave objective.downstream out'
            )
        if self.convergence == "frozen" and self.threshold not in FROZEN_THRESHOLDS:
            raise DefinitionError(
                'objective.threshold: with convergence = "frozen" one of '
                f"{' and '.join(map(str, FROZEN_THRESHOLDS))} is required, got {self.threshold!r}"
            )

    @property
    def known_while_training(self) -> bool:
        """True if each iteration has one score, to report to Optuna and to prune by."""
        return self.kind == "score" and self.convergence == "training"

    @property
    def num_objectives(self) -> int:
        """The number of values that a trial has."""
        return 1 if self.kind == "score" else 2 + self.downstream

    @property
    def own_weight(self) -> float:
        """The weight of convergence where a trial's own threshold decides it; 0 elsewhere."""
        own = self.threshold == OWN_THRESHOLD and self.split == "train"
        return self.convergence_weight if own and self.convergence == "training" else 0.0

    def score(self, convergence: float, rank: float) -> float:
        """Combine a convergence rate and a normalised effective rank."""
        return combined_score(convergence, rank, convergence_weight=self.convergence_weight)

    def value(self, metrics: "IterationMetrics") -> float:
        """Return the score after an iteration, on the split that is scored."""
        return metrics.validation_score if self.split == "validation" else metrics.score

    def promise(
        self,
        residual: float,
        rank: float,
        threshold: float,
        *,
        comes_to_rest: bool = False,
        exponent: float | None = None,
    ) -> float:
        """Estimate what a run that is not over will be worth; larger is better.

        The score, with LOG_SHARE of ``log(threshold / residual)`` for the convergence rate, which
        is 0 for all runs in the first iterations. Weights that come to rest converge at any
        threshold in the end, if contexts settle at all: then only what a residual lacks to
        SETTLING counts, or, where an audit decides what can win, PARTING_SHARE of an exponent
        above 0: such a network has no fixed point yet. How well it ranks them:
        docs/experiments.md.

        Args:
            residual: MSE between the last two passes.
            rank: ER / D after the last one.
            threshold: of the run.
            comes_to_rest: whether the learning rate falls to 0 with every step.
            exponent: Lyapunov exponent after the last pass, in nats per token; None if unknown.
        """
        if not self.convergence_weight:
            near = 0.0
        elif comes_to_rest and exponent is not None and self.feasible == "audit":
            near = -PARTING_SHARE * max(0.0, exponent)
        else:
            aim = SETTLING if comes_to_rest else threshold
            near = LOG_SHARE * (math.log(aim / residual) if residual > 0 else math.inf)
            near = min(0.0, near) if comes_to_rest else near
        return self.effective_rank_weight * rank + self.convergence_weight * near

    def scored(self, result: "TrainingResult") -> Scored | None:
        """Return what a run was worth; None if it did not come to its end."""
        if result.audit is None or result.last is None:
            return None
        if self.convergence == "frozen":
            return self.scored_frozen(getattr(result.audit, f"frozen_{self.split}"))
        prefix = "validation_" if self.split == "validation" else ""
        rate = getattr(result.last, f"{prefix}convergence_rate")
        rank = getattr(result.last, f"{prefix}effective_rank")
        return Scored(convergence_rate=rate, effective_rank=rank, score=self.score(rate, rank))

    def scored_frozen(self, text: "FrozenText") -> Scored:
        """Return what two reads with frozen weights are worth."""
        strict = self.threshold == STRICT_THRESHOLD
        rate = text.convergence_strict if strict else text.convergence
        rank = text.effective_rank
        return Scored(convergence_rate=rate, effective_rank=rank, score=self.score(rate, rank))


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """The four main parameters of a trial, by the original program's names.

    Attributes:
        dist_reg_weight: Diversity weight w in the total loss (1 - w) * cvfp + w * diversity.
            Range: in [0, 1].
        phase1_learning_rate: Learning rate of Adam. Range: positive.
        phase1_convergence_threshold: Residual (MSE between two passes) below which a token counts
            as converged. Range: positive.
        layernorm_mix: Share m of LayerNorm in what a layer gives, (1 - m) * v + m * LayerNorm(v).
            Range: in [0, 1].
    """

    dist_reg_weight: float
    phase1_learning_rate: float
    phase1_convergence_threshold: float
    layernorm_mix: float
