"""Measurements on the passes of a run: each iteration's metrics, the baseline, the audit."""

import copy
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

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
from cvfp_opt.model.metrics import convergence_rate, effective_rank, residuals
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.model.passes import Lane, sequential_pass
from cvfp_opt.model.segments import exact_passes, quick_exponent, sampled_passes
from cvfp_opt.training.events import Observer, Phase, Progress
from cvfp_opt.training.reading import Reading, read
from cvfp_opt.training.result import IterationMetrics
from cvfp_opt.training.run import TrainingRun


@dataclass(frozen=True, kw_only=True)
class LastPass:
    """The last two passes of training, and the weights that the earlier one was read with."""

    reading: Reading
    previous: Reading
    previous_weights: Mapping[str, Tensor]


def measure(
    run: TrainingRun, iteration: int, reading: Reading, previous: Reading | None
) -> IterationMetrics:
    """Compute the metrics of a pass, against the previous one if there was one."""
    rank = effective_rank(reading.train)
    validation_rank = effective_rank(reading.validation)
    moved = exponent = None
    rate = validation_rate = 0.0
    if previous is not None:
        if iteration in run.exponents_after:
            exponent = quick_exponent(run.network, run.train, reading.train)
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
        exact=reading.exact and (previous is None or previous.exact),
        lyapunov_exponent=exponent if exponent is not None and math.isfinite(exponent) else None,
    )


def network_with(run: TrainingRun, weights: Mapping[str, Tensor]) -> ContextNetwork:
    """Copy the run's network, with other weights."""
    network = copy.deepcopy(run.network)
    network.load_state_dict(weights)
    return network


def untrained_baseline(
    run: TrainingRun, network: ContextNetwork, first: Reading, iteration: int, observe: Observer
) -> tuple[Baseline, Reading]:
    """Measure the untrained network; return the figures and its second pass.

    Args:
        iteration: the iteration that is going on.
    """
    at = Progress(iteration=iteration, phase=Phase.BASELINE, done=0, total=0)
    second = read(run, first, observe, at, network=network, untrained=True)
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
        score = objective.scored_frozen(
            _frozen_untrained(run, network, first, second, at, observe)
        ).score
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
    run: TrainingRun,
    network: ContextNetwork,
    first: Reading,
    second: Reading,
    at: Progress,
    observe: Observer,
) -> FrozenText:
    """Read the text that is scored twice with the untrained weights, and compare."""
    split = run.objective.split
    if split != "held_out" or run.num_validation == 0:
        split = "train" if split == "train" else "validation"
        return frozen_text(getattr(first, split), getattr(second, split))
    start, chains = second.train[-1], run.compute.chains
    if run.training.measuring_pass == "sampled":
        (one,), _ = sampled_passes(network, [Lane(run.held_out, start)], chains=chains)
        (other,), _ = sampled_passes(network, [Lane(run.held_out, one[-1])], chains=chains)
        return frozen_text(one, other)
    twice = torch.cat([run.held_out, run.held_out])

    def progress(done: int) -> None:
        observe(replace(at, done=done, total=twice.shape[0]))

    return frozen_text(*sequential_pass(network, twice, start, progress, chains=chains).chunk(2))


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

    def progress(done: int) -> None:
        observe(Progress(iteration=iteration, phase=Phase.AUDIT, done=done, total=total))

    earlier = network_with(run, last_pass.previous_weights)
    repair = run.training.measuring_pass != "sequential"
    started = time.perf_counter()
    somewhere = torch.arange(num_held_out, device=contexts.device) % contexts.shape[0]
    (previous_held_out,) = exact_passes(
        earlier,
        [Lane(texts.held_out, last_pass.previous.train[-1])],
        [last_pass.previous.train[somewhere]],
        repair=repair,
        on_tokens=progress,
        chains=run.compute.chains,
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
        repair=repair,
        on_tokens=lambda done: progress(num_held_out + done),
        chains=run.compute.chains,
    )
    return replace(report, seconds=time.perf_counter() - started)
