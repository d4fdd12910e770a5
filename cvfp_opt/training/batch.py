"""The batch trainer: read everything, then train on shuffled minibatches of positions.

Iteration k: a gradient-free pass gives ``C_k``, which is compared with ``C_{k-1}``; then, for
E epochs, minibatches of positions t with the inputs ``x_t`` and ``C_k[t-1]`` (detached) are
trained towards the target ``C_{k-1}[t]``. The last iteration is a pass only, so the contexts
that are reported come from frozen weights.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from cvfp_opt.model.audit import Audit, Baseline
from cvfp_opt.model.diversity import DIVERSITY_LOSSES, updated_mean
from cvfp_opt.model.passes import ContextOverflow, zero_context
from cvfp_opt.model.schedules import WEIGHT_SCHEDULES
from cvfp_opt.training.events import IterationFinished, Observer, Phase, Progress
from cvfp_opt.training.result import IterationMetrics, Status, TrainingResult
from cvfp_opt.training.run import (
    Reading,
    Stopwatch,
    TrainingRun,
    audit,
    measure,
    read,
    untrained_baseline,
    weights_digest,
)


class Outcome(NamedTuple):
    """How the loop over iterations ended."""

    status: Status
    reason: str
    audit: Audit | None = None


class NonFiniteLoss(ArithmeticError):
    """A loss or gradient stopped being a finite number; the text says where."""


def train_batch(
    run: TrainingRun,
    observe: Observer,
    should_prune: Callable[[IterationMetrics], bool],
) -> TrainingResult:
    """Train by minibatches; see the module and ``Trainer``."""
    trainer = _BatchTrainer(run, observe, should_prune)
    outcome = trainer.train()
    return TrainingResult(
        status=outcome.status,
        reason=outcome.reason,
        iterations=tuple(trainer.history),
        audit=outcome.audit,
        optimizer_steps=trainer.steps,
        weights_digest=weights_digest(run.network),
        seconds=trainer.stopwatch.seconds,
    )


class _BatchTrainer:
    """The state of one run: optimizer, running mean of contexts, history."""

    def __init__(
        self,
        run: TrainingRun,
        observe: Observer,
        should_prune: Callable[[IterationMetrics], bool],
    ) -> None:
        self.run = run
        self.observe = observe
        self.should_prune = should_prune
        self.optimizer = torch.optim.Adam(
            run.network.parameters(), lr=run.parameters.phase1_learning_rate, fused=True
        )
        self.loss = DIVERSITY_LOSSES[run.diversity.loss]
        self.running_mean: Tensor | None = None
        self.history: list[IterationMetrics] = []
        self.stopwatch = Stopwatch()
        self.steps = 0

    def train(self) -> Outcome:
        iteration = 0
        try:
            previous: Reading | None = None
            baseline: Baseline | None = None
            for iteration in range(self.run.training.num_iterations):
                reading, moved = self._read(iteration, previous)
                metrics = self.history[-1]
                if baseline is None:
                    with self.stopwatch("audit"):
                        baseline = untrained_baseline(self.run, reading, metrics, self.observe)
                stop = self._stop(metrics)
                if stop is not None:
                    return self._finish(stop, reading, moved, baseline)
                with self.stopwatch("training"):
                    self._train_epochs(metrics, reading, previous)
                previous = reading
        except (ContextOverflow, NonFiniteLoss) as error:
            return Outcome(Status.DIVERGED, f"{error} in iteration {iteration}")
        raise AssertionError("the last iteration always stops")

    def _read(self, iteration: int, previous: Reading | None) -> tuple[Reading, Tensor | None]:
        at = Progress(iteration=iteration, phase=Phase.PASS, done=0, total=0)
        with self.stopwatch("pass"):
            reading = read(self.run, previous, self.observe, at)
        with self.stopwatch("rank"):
            metrics, moved = measure(self.run, iteration, reading, previous)
        self.history.append(metrics)
        self.observe(IterationFinished(metrics=metrics))
        return reading, moved

    def _stop(self, metrics: IterationMetrics) -> Outcome | None:
        """Why to stop after this pass; None to train on."""
        config, k = self.run.training, metrics.iteration
        if k >= 1 and metrics.convergence_rate >= config.min_converged_ratio:
            reason = f"{metrics.convergence_rate:.1%} of tokens converged in iteration {k}"
            return Outcome(Status.CONVERGED_EARLY, reason)
        if k == config.num_iterations - 1:
            return Outcome(Status.FINISHED, f"all {config.num_iterations} iterations read")
        if self.should_prune(metrics):
            return Outcome(Status.PRUNED, f"score {metrics.score:.3f} after iteration {k}")
        return None

    def _finish(
        self, outcome: Outcome, reading: Reading, moved: Tensor | None, baseline: Baseline
    ) -> Outcome:
        if outcome.status is Status.PRUNED:
            return outcome
        k = self.history[-1].iteration
        assert moved is not None, "only pruning ends a run before the second pass"
        with self.stopwatch("audit"):
            report = audit(self.run, k, reading, moved, baseline, self.observe)
        return outcome._replace(audit=report)

    def _train_epochs(
        self, metrics: IterationMetrics, reading: Reading, previous: Reading | None
    ) -> None:
        """Train between two passes; notes weight and mean losses in the history."""
        run, k = self.run, metrics.iteration
        weight = WEIGHT_SCHEDULES[run.schedule.kind](
            dist_reg_weight=run.parameters.dist_reg_weight,
            iteration=k,
            num_iterations=run.training.num_iterations,
            convergence_rate=metrics.convergence_rate,
            effective_rank=metrics.effective_rank,
        )
        num_tokens, size = run.train.shape[0], run.training.minibatch_size
        start = zero_context(run.network) if previous is None else previous.train[-1]
        incoming = torch.cat([start.unsqueeze(0), reading.train[:-1]])  # (T, D): C_k[t-1]
        target = None if previous is None else previous.train  # (T, D): C_{k-1}[t]
        sums, batches = [0.0, 0.0], 0
        total = run.training.num_epochs * num_tokens
        for epoch in range(run.training.num_epochs):
            order = torch.randperm(num_tokens, generator=run.minibatch_generator)
            for first in range(0, num_tokens, size):
                chosen = order[first : first + size].to(incoming.device)
                losses = self._step(chosen, incoming, target, weight)
                if not all(map(math.isfinite, losses)):
                    raise NonFiniteLoss(
                        f"cvfp loss {losses[0]}, diversity loss {losses[1]} or their gradient "
                        f"not finite at minibatch {first // size} of epoch {epoch}"
                    )
                sums = [a + b for a, b in zip(sums, losses, strict=False)]
                batches += 1
                done = epoch * num_tokens + min(first + size, num_tokens)
                self.observe(Progress(iteration=k, phase=Phase.TRAINING, done=done, total=total))
        self.history[-1] = dataclasses.replace(
            metrics,
            weight=weight,
            cvfp_loss=sums[0] / batches,
            diversity_loss=sums[1] / batches,
        )

    def _step(
        self, chosen: Tensor, incoming: Tensor, target: Tensor | None, weight: float
    ) -> tuple[float, float, float]:
        """One optimizer step on positions (B,); returns cvfp loss, diversity loss, |gradient|."""
        run = self.run
        contexts = run.network(incoming[chosen], run.train[chosen])  # (B, D)
        cvfp = contexts.new_zeros(()) if target is None else F.mse_loss(contexts, target[chosen])
        diversity = self.loss(contexts, self.running_mean)
        self.optimizer.zero_grad(set_to_none=True)
        ((1.0 - weight) * cvfp + weight * diversity).backward()
        norm = torch.nn.utils.clip_grad_norm_(run.network.parameters(), run.training.gradient_clip)
        if math.isfinite(norm.item()):
            self.optimizer.step()
            self.steps += 1
        self.running_mean = updated_mean(
            self.running_mean, contexts.detach(), run.diversity.mean_momentum
        )
        return cvfp.item(), diversity.item(), norm.item()
