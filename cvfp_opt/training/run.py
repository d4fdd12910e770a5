"""What a trainer is given, and what all trainers share: reading, measuring, timing."""

import copy
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from cvfp_opt.model.audit import (
    Audit,
    AuditTexts,
    Baseline,
    FrozenText,
    Movement,
    audit_network,
    frozen_text,
)
from cvfp_opt.model.diversity import DiversityConfig
from cvfp_opt.model.metrics import convergence_rate, effective_rank, residuals
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.model.passes import sequential_pass, zero_context
from cvfp_opt.model.schedules import ScheduleConfig
from cvfp_opt.training.config import Hyperparameters, ObjectiveConfig, TrainingConfig
from cvfp_opt.training.events import Observer, Phase, Progress
from cvfp_opt.training.result import IterationMetrics, TrainingResult
from cvfp_opt.training.snapshot import NOTHING, Keeper


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """Everything that decides a training run.

    Attributes:
        network: freshly initialised; trained in place.
        train: (T, E) embeddings of the training text.
        held_out: (V, E) embeddings of the text that follows it.
        num_validation: length of the validation split if that is the tail of the training
            text; 0 if it is the held-out text.
        parameters: the trial's choice.
        threshold: MSE below which a token counts as converged.
        minibatch_generator, audit_generator: sources of the order of minibatches and of the
            Lyapunov probe's offsets (CPU).
    """

    network: ContextNetwork
    train: Tensor
    held_out: Tensor
    num_validation: int
    parameters: Hyperparameters
    threshold: float
    training: TrainingConfig
    diversity: DiversityConfig
    schedule: ScheduleConfig
    objective: ObjectiveConfig
    minibatch_generator: torch.Generator
    audit_generator: torch.Generator


class Trainer(Protocol):
    """Trains ``run.network`` in place and says how it went; never raises for numbers.

    Args:
        run: what to train.
        observe: told of progress; may raise to stop the run.
        should_prune: asked after each pass but the last; True ends the run as PRUNED.
        keeper: where snapshots are kept between iterations, and one is found to go on from.
    """

    def __call__(
        self,
        run: TrainingRun,
        observe: Observer,
        should_prune: Callable[[IterationMetrics], bool],
        keeper: Keeper = NOTHING,
    ) -> TrainingResult: ...


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The contexts of one iteration: ``train`` (T, D), ``validation`` (V, D)."""

    train: Tensor
    validation: Tensor


@dataclass(frozen=True, kw_only=True)
class LastPass:
    """The last two passes of training, and the weights that the earlier one was read with."""

    reading: Reading
    previous: Reading
    previous_weights: Mapping[str, Tensor]


@dataclass
class Stopwatch:
    """Wall seconds per name."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - started
            self.seconds[name] = self.seconds.get(name, 0.0) + spent


def read(run: TrainingRun, previous: Reading | None, observe: Observer, at: Progress) -> Reading:
    """Read the text once with frozen weights, starting from the last context read before.

    Args:
        at: where in the run this is; its ``done`` and ``total`` are filled in.

    Raises:
        ContextOverflow: contexts exploded.
    """
    validated = run.num_validation == 0
    length = run.train.shape[0]
    total = length + (run.held_out.shape[0] if validated else 0)

    def tell(done: int) -> None:
        observe(Progress(iteration=at.iteration, phase=at.phase, done=done, total=total))

    start = zero_context(run.network) if previous is None else previous.train[-1]
    train = sequential_pass(run.network, run.train, start, tell)
    if not validated:
        return Reading(train=train, validation=train[-run.num_validation :])
    start = zero_context(run.network) if previous is None else previous.validation[-1]
    held_out = sequential_pass(run.network, run.held_out, start, lambda n: tell(length + n))
    return Reading(train=train, validation=held_out)


def measure(
    run: TrainingRun, iteration: int, reading: Reading, previous: Reading | None
) -> IterationMetrics:
    """Metrics of a pass, against the previous one if there was one."""
    rank = effective_rank(reading.train)
    validation_rank = effective_rank(reading.validation)
    moved = None
    rate = validation_rate = 0.0
    if previous is not None:
        moved = residuals(reading.train, previous.train)
        rate = convergence_rate(moved, run.threshold)
        validation_moved = residuals(reading.validation, previous.validation)
        validation_rate = convergence_rate(validation_moved, run.threshold)
    return IterationMetrics(
        iteration=iteration,
        convergence_rate=rate,
        effective_rank=rank,
        score=run.objective.score(rate, rank),
        validation_convergence_rate=validation_rate,
        validation_effective_rank=validation_rank,
        validation_score=run.objective.score(validation_rate, validation_rank),
        residual=None if moved is None else moved.mean().item(),
    )


def untrained_baseline(
    run: TrainingRun, first: Reading, observe: Observer
) -> tuple[Baseline, Reading]:
    """The untrained net's figures, and its second pass. ``first`` is its pass from zero."""
    at = Progress(iteration=0, phase=Phase.BASELINE, done=0, total=0)
    second = read(run, first, observe, at)
    rate, validation_rate = (
        convergence_rate(residuals(now, before), run.threshold)
        for now, before in (
            (second.train, first.train),
            (second.validation, first.validation),
        )
    )
    rank, validation_rank = effective_rank(first.train), effective_rank(first.validation)
    objective = run.objective
    if objective.convergence == "frozen":
        score = objective.scored_frozen(_frozen_untrained(run, first, second, observe)).score
    elif objective.split == "validation":
        score = objective.score(validation_rate, validation_rank)
    else:
        score = objective.score(rate, rank)
    baseline = Baseline(
        convergence_rate=rate,
        effective_rank=rank,
        validation_convergence_rate=validation_rate,
        validation_effective_rank=validation_rank,
        score=score,
    )
    return baseline, second


def _frozen_untrained(
    run: TrainingRun, first: Reading, second: Reading, observe: Observer
) -> FrozenText:
    """Two reads of the text that is scored, with the untrained weights."""
    split = run.objective.split
    if split != "held_out" or run.num_validation == 0:
        split = "train" if split == "train" else "validation"
        return frozen_text(getattr(first, split), getattr(second, split))
    length = run.held_out.shape[0]

    def tell(done: int) -> None:
        observe(Progress(iteration=0, phase=Phase.BASELINE, done=done, total=2 * length))

    once = sequential_pass(run.network, run.held_out, second.train[-1], tell)
    again = sequential_pass(run.network, run.held_out, once[-1], lambda n: tell(length + n))
    return frozen_text(once, again)


def audit(
    run: TrainingRun,
    iteration: int,
    contexts: Tensor,
    last_pass: LastPass,
    baseline: Baseline,
    observe: Observer,
) -> Audit:
    """Audit the finished net of a run, whose last pass gave ``contexts`` (T, D)."""
    texts = AuditTexts(train=run.train, held_out=run.held_out, num_validation=run.num_validation)
    num_held_out = texts.held_out.shape[0]
    total = texts.train.shape[0] + 3 * num_held_out

    def tell(done: int) -> None:
        observe(Progress(iteration=iteration, phase=Phase.AUDIT, done=done, total=total))

    earlier = copy.deepcopy(run.network)
    earlier.load_state_dict(last_pass.previous_weights)
    started = time.perf_counter()
    previous_held_out = sequential_pass(
        earlier, texts.held_out, last_pass.previous.train[-1], tell
    )
    report = audit_network(
        run.network,
        texts,
        contexts=contexts,
        moved=Movement.between(last_pass.reading.train, last_pass.previous.train),
        moved_validation=Movement.between(
            last_pass.reading.validation, last_pass.previous.validation
        ),
        previous_held_out=previous_held_out,
        baseline=baseline,
        generator=run.audit_generator,
        clock=time.perf_counter,
        on_tokens=lambda done: tell(num_held_out + done),
    )
    return replace(report, seconds=time.perf_counter() - started)


def weights_digest(network: ContextNetwork) -> str:
    """SHA-256 over all parameters in order, hexadecimal: equal digests are equal weights."""
    digest = hashlib.sha256()
    for name, parameter in network.named_parameters():
        digest.update(name.encode())
        digest.update(parameter.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
