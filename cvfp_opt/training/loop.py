"""The loop that all trainers share: iterate, measure, stop, audit."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from cvfp_opt.model.audit import Audit, Baseline
from cvfp_opt.model.passes import ContextOverflow
from cvfp_opt.model.probe import ProbeResult
from cvfp_opt.model.schedules import weight_schedule
from cvfp_opt.training.downstream import PerplexityOverflow, probe_run
from cvfp_opt.training.events import IterationFinished, IterationTrained, Observer, Phase, Progress
from cvfp_opt.training.measuring import (
    LastPass,
    audit,
    measure,
    network_with,
    untrained_baseline,
)
from cvfp_opt.training.reading import Reading, read
from cvfp_opt.training.result import IterationMetrics, Status, TrainingResult
from cvfp_opt.training.run import Stopwatch, TrainingRun, weights_digest
from cvfp_opt.training.snapshot import Keeper, Snapshot
from cvfp_opt.training.steps import Stepper

UNTRAINED = "0 optimizer steps: this is the untrained network"


class NonFiniteLoss(ArithmeticError):
    """A loss or gradient is no longer a finite number; the text says where."""


def check_finite(cvfp: float, diversity: float, norm: float, *, where: str) -> None:
    """Raise NonFiniteLoss unless losses and gradient norm of a step are finite."""
    if not all(map(math.isfinite, (cvfp, diversity, norm))):
        raise NonFiniteLoss(
            f"cvfp loss {cvfp}, diversity loss {diversity}, gradient norm {norm} at {where}"
        )


@dataclass(frozen=True, kw_only=True)
class Losses:
    """The weight of an iteration, the learning rate that it began with, and its mean losses."""

    weight: float
    learning_rate: float
    cvfp_loss: float
    diversity_loss: float


class Method(Protocol):
    """How one kind of trainer reads and trains; it keeps its optimizer and running mean.

    Attributes:
        stepper: takes the optimizer steps.
        trains_while_reading: ``read`` moves the weights (online), or ``train`` does (batch).
    """

    stepper: Stepper
    trains_while_reading: bool

    def read(
        self, iteration: int, previous: Reading | None, weight: float
    ) -> tuple[Reading, Losses | None]:
        """Read the text once; return the losses too if that trained.

        Raises:
            ContextOverflow, NonFiniteLoss: the run diverged.
        """

    def train(
        self, iteration: int, reading: Reading, previous: Reading | None, weight: float
    ) -> Losses | None:
        """Train between two passes; return the losses if that trained.

        Raises:
            NonFiniteLoss: the run diverged.
        """


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How the iterations ended."""

    status: Status
    reason: str
    audit: Audit | None = None
    downstream: ProbeResult | None = None


Weights = dict[str, Tensor]


@dataclass(kw_only=True)
class State:
    """The state between two iterations; all of it is in a Snapshot.

    Attributes:
        iteration: the next one to read.
        previous: the pass before; None at iteration 0.
        previous_weights: the weights that it was read with, by name.
        untrained: the first pass, kept until the baseline is known.
        untrained_weights: the weights that it was read with, by name.
        baseline: the untrained net's figures, once known.
        history: metrics of the iterations so far.
    """

    iteration: int = 0
    previous: Reading | None = None
    previous_weights: Weights = field(default_factory=dict)
    untrained: Reading | None = None
    untrained_weights: Weights = field(default_factory=dict)
    baseline: Baseline | None = None
    history: list[IterationMetrics] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Loop:
    """One run of a method; call ``Loop(...).run_to_end()``. See ``Trainer`` for the arguments."""

    run: TrainingRun
    method: Method
    observe: Observer
    should_prune: Callable[[IterationMetrics], bool]
    keeper: Keeper
    state: State = field(default_factory=State)
    stopwatch: Stopwatch = field(default_factory=Stopwatch)

    def run_to_end(self) -> TrainingResult:
        """Train and audit, and return how it went; numbers that break are an outcome."""
        self._restore(self.keeper.load())
        try:
            outcome = self._iterate()
        except (ContextOverflow, NonFiniteLoss) as error:
            outcome = Outcome(status=Status.DIVERGED, reason=str(error))
        stepper = self.method.stepper
        return TrainingResult(
            status=outcome.status,
            reason=outcome.reason,
            iterations=tuple(self.state.history),
            audit=outcome.audit,
            optimizer_steps=stepper.steps,
            diversity_scale=stepper.scale,
            weights_digest=weights_digest(self.run.network),
            seconds=self.stopwatch.seconds,
            downstream=outcome.downstream,
        )

    def _iterate(self) -> Outcome:
        method, state = self.method, self.state
        if method.trains_while_reading and state.untrained is None and state.baseline is None:
            at = Progress(iteration=0, phase=Phase.BASELINE, done=0, total=0)
            with self._at(0), self.stopwatch("audit"):
                first = read(self.run, None, self.observe, at, untrained=True)
                self._keep_untrained(first, self._weights())
        for k in range(state.iteration, self.run.training.num_iterations):
            with (
                self._at(k),
                self.stopwatch("training" if method.trains_while_reading else "pass"),
            ):
                reading, losses = method.read(k, state.previous, self._weight(k))
            self._measure(k, reading)
            self._note(losses)
            stop = self._stop()
            if stop is not None and not state.history[-1].exact:
                reading = self._read_exactly(k, reading)
                stop = self._stop()
            metrics = state.history[-1]
            self.observe(IterationFinished(metrics=metrics))
            if stop is not None:
                return self._finish(stop, reading)
            if self.should_prune(metrics):
                rank = f"rank {metrics.effective_rank:.1%}"
                reason = f"score {metrics.score:.3f}, {rank} after iteration {k}"
                return Outcome(status=Status.PRUNED, reason=reason)
            weights = self._weights()
            if k == 0 and not method.trains_while_reading:
                self._keep_untrained(reading, weights)
            with self._at(k), self.stopwatch("training"):
                self._note(method.train(k, reading, state.previous, self._weight(k)))
            self.observe(IterationTrained(metrics=state.history[-1]))
            state.previous, state.previous_weights, state.iteration = reading, weights, k + 1
            self.keeper.save(self._snapshot())
        raise AssertionError("the last iteration always stops")

    @contextmanager
    def _at(self, iteration: int) -> Iterator[None]:
        """Name the iteration in an error of a run that diverges."""
        try:
            yield
        except (ContextOverflow, NonFiniteLoss, PerplexityOverflow) as error:
            raise NonFiniteLoss(f"{error} in iteration {iteration}") from None

    def _weight(self, iteration: int) -> float:
        """Return the diversity weight to train with now, after what was measured last."""
        last = self.state.history[-1] if self.state.history else None
        return weight_schedule(self.run.schedule.kind)(
            self.run.schedule,
            dist_reg_weight=self.run.parameters.dist_reg_weight,
            iteration=iteration,
            num_iterations=self.run.training.num_iterations,
            convergence_rate=last.convergence_rate if last else None,
            effective_rank=last.effective_rank if last else None,
        )

    def _measure(self, iteration: int, reading: Reading) -> None:
        with self.stopwatch("rank"):
            self.state.history.append(measure(self.run, iteration, reading, self.state.previous))

    def _note(self, losses: Losses | None) -> None:
        """Record what the last measured iteration was trained with."""
        if losses is not None:
            last = self.state.history[-1]
            self.state.history[-1] = dataclasses.replace(last, **dataclasses.asdict(losses))

    def _weights(self) -> Weights:
        """Copy the network's weights, by name."""
        return {n: v.detach().clone() for n, v in self.run.network.state_dict().items()}

    def _keep_untrained(self, first: Reading, weights: Weights) -> None:
        """Keep the untrained net's first pass; its second one is needed only at the end."""
        self.state.untrained, self.state.untrained_weights = first, weights
        if self.run.diversity.scale == "untrained":
            self._measure_untrained(0)

    def _measure_untrained(self, iteration: int) -> Baseline:
        """Measure the untrained net, and what depends on it."""
        state, stepper = self.state, self.method.stepper
        if state.baseline is not None:
            return state.baseline
        assert state.untrained is not None
        with self._at(iteration), self.stopwatch("audit"):
            network = network_with(self.run, state.untrained_weights)
            state.baseline, second = untrained_baseline(
                self.run, network, state.untrained, iteration, self.observe
            )
            stepper.fit_scale(state.untrained.train, second.train)
            if not math.isfinite(stepper.scale):
                raise NonFiniteLoss(
                    "the diversity loss has no gradient on the untrained net to scale by; "
                    'set diversity.scale = "none"'
                )
        state.untrained, state.untrained_weights = None, {}
        return state.baseline

    def _stop(self) -> Outcome | None:
        """Return why to stop after this pass; None to train on."""
        config, metrics = self.run.training, self.state.history[-1]
        k = metrics.iteration
        enough = config.min_converged_ratio
        if enough and k >= 1 and metrics.convergence_rate >= enough:
            reason = f"{metrics.convergence_rate:.1%} of tokens converged in iteration {k}"
            return Outcome(status=Status.CONVERGED_EARLY, reason=reason)
        if k == config.num_iterations - 1:
            reason = f"all {config.num_iterations} iterations read"
            return Outcome(status=Status.FINISHED, reason=reason)
        return None

    def _read_exactly(self, iteration: int, reading: Reading) -> Reading:
        """Read this pass and the one before exactly, and measure them again."""
        run, state = self.run, self.state
        assert state.previous is not None, "no run ends before the second pass"
        before = state.previous
        at = Progress(iteration=iteration, phase=Phase.PASS, done=0, total=0)
        with self._at(iteration), self.stopwatch("pass"):
            if not before.exact:
                network = network_with(run, state.previous_weights)
                starts = (before.train_start, before.validation_start)
                before = read(run, before, self.observe, at, network=network, starts=starts)
            starts = (before.train[-1], before.validation[-1])
            reading = read(run, reading, self.observe, at, starts=starts)
        state.previous = before
        state.history.pop()
        self._measure(iteration, reading)
        return reading

    def _finish(self, outcome: Outcome, reading: Reading) -> Outcome:
        """Audit a run that came to its end."""
        state, k = self.state, self.state.history[-1].iteration
        assert state.previous is not None, "no run ends before the second pass"
        baseline = self._measure_untrained(k)
        last_pass = LastPass(
            reading=reading, previous=state.previous, previous_weights=state.previous_weights
        )
        with self._at(k), self.stopwatch("audit"):
            if self.method.trains_while_reading:  # weights have moved since those contexts
                at = Progress(iteration=k, phase=Phase.PASS, done=0, total=0)
                reading = read(self.run, reading, self.observe, at)
            report = audit(self.run, k, reading.train, last_pass, baseline, self.observe)
        downstream = None
        if self.run.downstream is not None:
            with self._at(k), self.stopwatch("probe"):
                downstream = probe_run(self.run, self.run.downstream, k, self.observe)
        reason = outcome.reason if self.method.stepper.steps else f"{UNTRAINED}; {outcome.reason}"
        return dataclasses.replace(outcome, reason=reason, audit=report, downstream=downstream)

    def _snapshot(self) -> Snapshot:
        """Take a snapshot of this run between two iterations."""
        # checkpoints of running trials hold these: a change here, or in _restore, raises the
        # number of their format (store/files/snapshot_format.py)
        state, run = self.state, self.run
        tensors = self.method.stepper.tensors() | {
            "generator.minibatch": run.minibatch_generator.get_state(),
            "generator.audit": run.audit_generator.get_state(),
        }
        for prefix, weights in (
            ("network", run.network.state_dict()),
            ("previous_weights", state.previous_weights),
            ("untrained_weights", state.untrained_weights),
            ("previous", {} if state.previous is None else vars(state.previous)),
            ("untrained", {} if state.untrained is None else vars(state.untrained)),
        ):
            tensors |= {
                f"{prefix}.{name}": value
                for name, value in weights.items()
                if isinstance(value, Tensor)
            }
        values = {
            "iteration": state.iteration,
            "exact": state.previous is None or state.previous.exact,
            "baseline": None if state.baseline is None else dataclasses.asdict(state.baseline),
            "history": [dataclasses.asdict(metrics) for metrics in state.history],
            "seconds": self.stopwatch.seconds,
            "steps": self.method.stepper.steps,
            "scale": self.method.stepper.scale,
        }
        return Snapshot(tensors=tensors, values=values)

    def _restore(self, snapshot: Snapshot | None) -> None:
        """Go on from a snapshot of the same run, if there is one; report what happened before."""
        if snapshot is None:
            return
        state, run, values = self.state, self.run, snapshot.values
        device = run.train.device
        run.network.load_state_dict(snapshot.below("network"))
        run.minibatch_generator.set_state(snapshot.tensors["generator.minibatch"])
        run.audit_generator.set_state(snapshot.tensors["generator.audit"])
        self.method.stepper.restore(snapshot)
        state.iteration = values["iteration"]
        state.baseline = None if values["baseline"] is None else Baseline(**values["baseline"])
        state.history[:] = [IterationMetrics(**metrics) for metrics in values["history"]]
        found: dict[str, dict[str, Any]] = {
            name: {key: value.to(device) for key, value in snapshot.below(name).items()}
            for name in ("previous", "previous_weights", "untrained", "untrained_weights")
        }
        state.previous = Reading(**found["previous"], exact=values["exact"])
        state.previous_weights = found["previous_weights"]
        state.untrained = Reading(**found["untrained"]) if found["untrained"] else None
        state.untrained_weights = found["untrained_weights"]
        self.stopwatch.seconds.update(values["seconds"])
        for metrics in state.history:
            self.observe(IterationFinished(metrics=metrics))
            self.observe(IterationTrained(metrics=metrics))
