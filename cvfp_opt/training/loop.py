"""What all trainers share: iterate, measure, stop, audit. A method says how to read and train."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from cvfp_opt.model.audit import Audit, Baseline
from cvfp_opt.model.passes import ContextOverflow
from cvfp_opt.model.schedules import WEIGHT_SCHEDULES
from cvfp_opt.training.events import IterationFinished, IterationTrained, Observer, Phase, Progress
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
from cvfp_opt.training.steps import Stepper

UNTRAINED = "0 optimizer steps: this is the untrained network"


class NonFiniteLoss(ArithmeticError):
    """A loss or gradient stopped being a finite number; the text says where."""


def check_finite(cvfp: float, diversity: float, norm: float, *, where: str) -> None:
    """Raise NonFiniteLoss unless losses and gradient norm of a step are finite."""
    if not all(map(math.isfinite, (cvfp, diversity, norm))):
        raise NonFiniteLoss(
            f"cvfp loss {cvfp}, diversity loss {diversity}, gradient norm {norm} at {where}"
        )


@dataclass(frozen=True, kw_only=True)
class Losses:
    """What an iteration was trained with: the weight, and means over its steps."""

    weight: float
    cvfp_loss: float
    diversity_loss: float


class Method(Protocol):
    """How one kind of trainer reads and trains; keeps its optimizer and running mean.

    Attributes:
        stepper: takes the optimizer steps.
        trains_while_reading: ``read`` moves the weights (online), or ``train`` does (batch).
    """

    stepper: Stepper
    trains_while_reading: bool

    def read(
        self, iteration: int, previous: Reading | None, weight: float
    ) -> tuple[Reading, Losses | None]:
        """Read the text once; the losses if that trained.

        Raises:
            ContextOverflow, NonFiniteLoss: the run diverged.
        """

    def train(
        self, iteration: int, reading: Reading, previous: Reading | None, weight: float
    ) -> Losses | None:
        """Train between two passes; the losses if that trained.

        Raises:
            NonFiniteLoss: the run diverged.
        """


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How the iterations ended."""

    status: Status
    reason: str
    audit: Audit | None = None


@dataclass(frozen=True, kw_only=True)
class Loop:
    """One run of a method: ``Loop(...).run_to_end()``. See ``Trainer`` for the arguments."""

    run: TrainingRun
    method: Method
    observe: Observer
    should_prune: Callable[[IterationMetrics], bool]
    history: list[IterationMetrics] = field(default_factory=list)
    stopwatch: Stopwatch = field(default_factory=Stopwatch)

    def run_to_end(self) -> TrainingResult:
        """Train, audit, and say how it went; numbers that break are an outcome."""
        try:
            outcome = self._iterate()
        except (ContextOverflow, NonFiniteLoss) as error:
            outcome = Outcome(status=Status.DIVERGED, reason=str(error))
        return TrainingResult(
            status=outcome.status,
            reason=outcome.reason,
            iterations=tuple(self.history),
            audit=outcome.audit,
            optimizer_steps=self.method.stepper.steps,
            weights_digest=weights_digest(self.run.network),
            seconds=self.stopwatch.seconds,
        )

    def _iterate(self) -> Outcome:
        method, previous, baseline = self.method, None, None
        if method.trains_while_reading:
            baseline = self._baseline(None)
        for k in range(self.run.training.num_iterations):
            with (
                self._at(k),
                self.stopwatch("training" if method.trains_while_reading else "pass"),
            ):
                reading, losses = method.read(k, previous, self._weight(k))
            moved = self._measure(k, reading, previous, losses)
            if baseline is None:
                baseline = self._baseline(reading)
            stop = self._stop(self.history[-1])
            if stop is not None:
                return self._finish(stop, reading, moved, baseline)
            with self._at(k), self.stopwatch("training"):
                self._note(method.train(k, reading, previous, self._weight(k)))
            self.observe(IterationTrained(metrics=self.history[-1]))
            previous = reading
        raise AssertionError("the last iteration always stops")

    @contextmanager
    def _at(self, iteration: int) -> Iterator[None]:
        """Add the iteration to what diverged."""
        try:
            yield
        except (ContextOverflow, NonFiniteLoss) as error:
            raise NonFiniteLoss(f"{error} in iteration {iteration}") from None

    def _weight(self, iteration: int) -> float:
        """The diversity weight to train with now, after what was measured last."""
        last = self.history[-1] if self.history else None
        return WEIGHT_SCHEDULES[self.run.schedule.kind](
            self.run.schedule,
            dist_reg_weight=self.run.parameters.dist_reg_weight,
            iteration=iteration,
            num_iterations=self.run.training.num_iterations,
            convergence_rate=last.convergence_rate if last else None,
            effective_rank=last.effective_rank if last else None,
        )

    def _measure(
        self, iteration: int, reading: Reading, previous: Reading | None, losses: Losses | None
    ) -> Tensor | None:
        with self.stopwatch("rank"):
            metrics, moved = measure(self.run, iteration, reading, previous)
        self.history.append(metrics)
        self._note(losses)
        self.observe(IterationFinished(metrics=self.history[-1]))
        return moved

    def _note(self, losses: Losses | None) -> None:
        """Keep what the last measured iteration was trained with."""
        if losses is not None:
            self.history[-1] = dataclasses.replace(self.history[-1], **dataclasses.asdict(losses))

    def _baseline(self, first: Reading | None) -> Baseline:
        with self._at(0), self.stopwatch("audit"):
            at = Progress(iteration=0, phase=Phase.BASELINE, done=0, total=0)
            first = first or read(self.run, None, self.observe, at)
            return untrained_baseline(self.run, first, self.observe)

    def _stop(self, metrics: IterationMetrics) -> Outcome | None:
        """Why to stop after this pass; None to train on."""
        config, k = self.run.training, metrics.iteration
        if k >= 1 and metrics.convergence_rate >= config.min_converged_ratio:
            reason = f"{metrics.convergence_rate:.1%} of tokens converged in iteration {k}"
            return Outcome(status=Status.CONVERGED_EARLY, reason=reason)
        if k == config.num_iterations - 1:
            reason = f"all {config.num_iterations} iterations read"
            return Outcome(status=Status.FINISHED, reason=reason)
        if self.should_prune(metrics):
            reason = f"score {metrics.score:.3f} after iteration {k}"
            return Outcome(status=Status.PRUNED, reason=reason)
        return None

    def _finish(
        self, outcome: Outcome, reading: Reading, moved: Tensor | None, baseline: Baseline
    ) -> Outcome:
        if outcome.status is Status.PRUNED:
            return outcome
        assert moved is not None, "only pruning ends a run before the second pass"
        k = self.history[-1].iteration
        with self._at(k), self.stopwatch("audit"):
            if self.method.trains_while_reading:  # those contexts are of weights now gone
                at = Progress(iteration=k, phase=Phase.PASS, done=0, total=0)
                reading = read(self.run, reading, self.observe, at)
            report = audit(self.run, k, reading, moved, baseline, self.observe)
        reason = outcome.reason if self.method.stepper.steps else f"{UNTRAINED}; {outcome.reason}"
        return dataclasses.replace(outcome, reason=reason, audit=report)
