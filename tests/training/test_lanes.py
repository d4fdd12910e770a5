"""Runs as lanes of one device: each is what it would have been alone; none waits forever."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from cvfp_opt.model import segments
from cvfp_opt.model.config import ModelConfig
from cvfp_opt.model.matrix_products import PRODUCTS
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.model.segments import own_chains
from cvfp_opt.model.stacked import MAX_PROGRAMS, StackedForward, StackedReader
from cvfp_opt.training.batch import train_batch
from cvfp_opt.training.config import TRAINING_PASSES
from cvfp_opt.training.events import Event, IterationFinished, Phase, ignore
from cvfp_opt.training.lanes import Lanes
from cvfp_opt.training.result import Status, TrainingResult
from cvfp_opt.training.run import TrainingRun

MakeRun = Callable[..., TrainingRun]
Act = Callable[[Event], None]
PATIENCE = 30.0  # seconds: a lane that waits for ever fails the test instead of stopping all

# (seed, learning rate, weight, mix): all that differs between lanes
POINTS = [(0, 0.01, 0.4, 0.7), (1, 0.002, 0.9, 1.0), (2, 0.0005, 0.1, 0.0)]


def never(metrics: Any) -> bool:
    return False


def together(*tasks: Callable[[], Any]) -> list[Any]:
    """What each task gives, or raises, each in a thread of its own."""
    found: list[Any] = [None] * len(tasks)

    def work(index: int) -> None:
        try:
            found[index] = tasks[index]()
        except BaseException as error:
            found[index] = error

    threads = [threading.Thread(target=work, args=(i,), daemon=True) for i in range(len(tasks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive(), "a lane waits for ever"
    return found


def train_lanes(
    runs: Sequence[TrainingRun],
    observers: Sequence[Act] | None = None,
    prune: Sequence[Callable[[Any], bool]] | None = None,
) -> list[Any]:
    lanes = Lanes()
    all_here = threading.Barrier(len(runs))

    def task(index: int) -> TrainingResult:
        with lanes.lane() as compute:
            all_here.wait(PATIENCE)
            observe = observers[index] if observers else ignore
            return train_batch(
                replace(runs[index], compute=compute), observe, prune[index] if prune else never
            )

    return together(*[lambda i=i: task(i) for i in range(len(runs))])


def points(make_run: MakeRun, **words: Any) -> list[TrainingRun]:
    """A run at each point; weak nets, that no rounding grows in, and mix 0 does not overflow."""
    runs = []
    for seed, rate, weight, mix in POINTS:
        names = ("phase1_learning_rate", "dist_reg_weight", "layernorm_mix")
        parameters = dict(zip(names, (rate, weight, mix), strict=True))
        run = make_run(seed=seed, parameters=parameters, **words)
        runs.append(replace(run, threshold=1e-12))  # so that none converges
        with torch.no_grad():
            for layer in runs[-1].network.context_layers:
                layer.linear.weight.mul_(0.3 if mix else 0.02)
    return runs


def assert_same(
    lane: TrainingResult, alone: TrainingResult, runs: tuple[TrainingRun, TrainingRun], tol: float
) -> None:
    assert (lane.status, lane.reason) == (alone.status, alone.reason)
    assert lane.optimizer_steps == alone.optimizer_steps
    for ours, theirs in zip(lane.iterations, alone.iterations, strict=True):
        for key, value in vars(theirs).items():
            expected = None if value is None else pytest.approx(value, rel=tol, abs=tol)
            assert getattr(ours, key) == expected, key
    weights = [dict(run.network.named_parameters()) for run in runs]
    for name, weight in weights[0].items():
        torch.testing.assert_close(weight, weights[1][name], rtol=tol, atol=tol)


@pytest.mark.parametrize("training_pass", TRAINING_PASSES)
@pytest.mark.parametrize("validated", [False, True])
def test_lanes_are_their_solo_runs(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, training_pass: str, validated: bool
) -> None:
    monkeypatch.setattr(segments, "MIN_LENGTH", 8)  # of 40 tokens: five segments
    words = {"training_pass": training_pass, "validated": validated}
    runs, solo = points(make_run, **words), points(make_run, **words)
    for lane, run, other in zip(train_lanes(runs), runs, solo, strict=True):
        alone = train_batch(other, ignore, never)
        assert_same(lane, alone, (run, other), 1e-9)
        assert lane.audit is not None
        assert alone.audit is not None
        assert lane.audit.residual_quantiles == pytest.approx(alone.audit.residual_quantiles)
        assert lane.audit.lyapunov_exponent == pytest.approx(alone.audit.lyapunov_exponent)
        ours, theirs = vars(lane.audit.frozen_held_out), vars(alone.audit.frozen_held_out)
        assert ours == pytest.approx(theirs)


@pytest.mark.parametrize(("precision", "tol"), [("float32", 1e-3), ("bfloat16", 3e-2)])
def test_lanes_are_near_their_solo_runs_in_float32(
    make_run: MakeRun, precision: str, tol: float
) -> None:
    # two iterations: rounding grows with each token where a net does not contract
    words = {"precision": precision, "dtype": torch.float32, "num_iterations": 2}
    runs, solo = points(make_run, **words), points(make_run, **words)
    for lane, run, other in zip(train_lanes(runs), runs, solo, strict=True):
        alone = train_batch(other, ignore, never)
        first, expected = lane.iterations[0], alone.iterations[0]
        for key in ("effective_rank", "diversity_loss", "learning_rate", "weight"):
            assert getattr(first, key) == pytest.approx(getattr(expected, key), rel=tol), key
        for ours, theirs in zip(run.network.parameters(), other.network.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=tol, atol=tol)


def networks(dtype: torch.dtype) -> list[ContextNetwork]:
    config = ModelConfig(context_size=8, embedding_size=6, num_layers=3)
    return [
        ContextNetwork(
            config, layernorm_mix=mix, generator=torch.Generator().manual_seed(seed)
        ).to(dtype)
        for seed, mix in enumerate((0.7, 1.0, 0.0, 0.3))
    ]


@pytest.mark.parametrize("precision", PRODUCTS)
def test_a_stacked_step_and_its_gradients_are_each_networks_own(precision: str) -> None:
    tol = 1e-12 if precision == "float32" else 1e-5
    nets, generator = networks(torch.float64), torch.Generator().manual_seed(9)
    contexts = torch.randn(4, 5, 8, generator=generator, dtype=torch.float64)
    tokens = torch.randn(4, 5, 6, generator=generator, dtype=torch.float64)
    outer = torch.randn(4, 5, 8, generator=generator, dtype=torch.float64)
    forward = StackedForward(nets, contexts, tokens, precision)
    gradients = forward.gradients({i: outer[i] for i in (0, 2, 3)})
    for i, net in enumerate(nets):
        after = net(contexts[i], tokens[i], PRODUCTS[precision])
        torch.testing.assert_close(forward.contexts[i], after, rtol=tol, atol=tol)
        after.backward(outer[i])
        for name, parameter in net.named_parameters():
            expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            found = gradients[i].get(name, torch.zeros_like(parameter))
            if i == 1:  # none was asked for
                expected = torch.zeros_like(parameter)
            torch.testing.assert_close(found, expected, rtol=tol, atol=tol)


def test_a_reader_of_stacks_reads_as_each_network_does_and_forgets_old_shapes() -> None:
    nets, generator = networks(torch.float64), torch.Generator().manual_seed(9)
    tokens = torch.randn(4, 2, 7, 6, generator=generator, dtype=torch.float64)
    start = torch.randn(4, 2, 8, generator=generator, dtype=torch.float64)
    reader = StackedReader()
    for count in (4, 3, 2, 1, 4):  # the last one in buffers made anew, or used before
        for precision in PRODUCTS:
            found = reader.read(nets[:count], start[:count], tokens[:count], precision)
            for i in range(count):
                expected = own_chains(nets[i], precision)(start[i], tokens[i])
                tol = 1e-9 if precision == "float32" else 1e-2
                torch.testing.assert_close(found[i], expected, rtol=tol, atol=tol)
    assert len(reader._programs) == MAX_PROGRAMS


@pytest.fixture
def together_counts(monkeypatch: pytest.MonkeyPatch) -> dict[Phase, list[int]]:
    """How many lanes were computed together, request by request."""
    counts: dict[Phase, list[int]] = {Phase.PASS: [], Phase.TRAINING: []}
    read, forward = StackedReader.read, StackedForward.__init__

    def counted_read(self: StackedReader, networks: Any, *rest: Any) -> Any:
        counts[Phase.PASS].append(len(networks))
        return read(self, networks, *rest)

    def counted_forward(self: StackedForward, networks: Any, *rest: Any) -> None:
        counts[Phase.TRAINING].append(len(networks))
        forward(self, networks, *rest)

    monkeypatch.setattr(StackedReader, "read", counted_read)
    monkeypatch.setattr(StackedForward, "__init__", counted_forward)
    return counts


def test_lanes_in_step_are_computed_together(
    make_run: MakeRun, together_counts: dict[Phase, list[int]]
) -> None:
    train_lanes(points(make_run))
    assert set(together_counts[Phase.PASS]) == {3}
    assert set(together_counts[Phase.TRAINING]) == {3}


def test_a_lane_that_begins_later_falls_into_step(
    make_run: MakeRun, together_counts: dict[Phase, list[int]]
) -> None:
    lanes, joined = Lanes(), threading.Event()
    first, second, _ = points(make_run, num_iterations=6)

    def writer(event: Event) -> None:
        if isinstance(event, IterationFinished) and event.metrics.iteration == 1:
            joined.set()

    def early() -> TrainingResult:
        with lanes.lane() as compute:
            return train_batch(replace(first, compute=compute), writer, never)

    def late() -> TrainingResult:
        assert joined.wait(PATIENCE)
        with lanes.lane() as compute:
            return train_batch(replace(second, compute=compute), ignore, never)

    results = together(early, late)
    assert [result.status for result in results] == [Status.FINISHED] * 2
    alone = [train_batch(run, ignore, never) for run in points(make_run, num_iterations=6)[:2]]
    for lane, expected in zip(results, alone, strict=True):
        assert lane.last.residual == pytest.approx(expected.last.residual, rel=1e-9)
    # every minibatch that both trained on, from the second one's first iteration, was shared
    steps = [count for count in together_counts[Phase.TRAINING] if count == 2]
    assert len(steps) >= 3 * 6  # three iterations at the least, of six minibatches


def explode(run: TrainingRun) -> TrainingRun:
    with torch.no_grad():
        for layer in run.network.context_layers:
            layer.linear.weight.abs_().mul_(1e3)
    return run


@pytest.mark.parametrize("how", ["diverges at once", "diverges", "converges", "is pruned"])
def test_a_lane_that_ends_early_leaves_the_others_as_they_were(
    make_run: MakeRun, how: str
) -> None:
    runs, solo = points(make_run), points(make_run)
    if how == "diverges at once":
        runs[2] = explode(runs[2])
    if how == "diverges":
        wild = replace(runs[2].parameters, phase1_learning_rate=1e200)
        runs[2] = replace(runs[2], parameters=wild)
    if how == "converges":
        easy = replace(runs[2].training, min_converged_ratio=0.5)
        runs[2] = replace(runs[2], threshold=1e6, training=easy)
    prune = [never, never, (lambda metrics: True) if how == "is pruned" else never]
    results = train_lanes(runs, prune=prune)
    ended = {"converges": Status.CONVERGED_EARLY, "is pruned": Status.PRUNED}
    assert results[2].status is ended.get(how, Status.DIVERGED)
    assert len(results[2].iterations) <= 2
    for i in range(2):
        assert_same(results[i], train_batch(solo[i], ignore, never), (runs[i], solo[i]), 1e-9)


@pytest.mark.parametrize("phase", [Phase.PASS, Phase.TRAINING, Phase.AUDIT])
def test_a_lane_that_raises_does_not_stop_the_others(make_run: MakeRun, phase: Phase) -> None:
    def fail(event: Event) -> None:
        if getattr(event, "phase", None) is phase:
            raise RuntimeError("this lane only")

    runs, solo = points(make_run), points(make_run)
    results = train_lanes(runs, observers=[ignore, fail, ignore])
    assert isinstance(results[1], RuntimeError)
    for i in (0, 2):
        assert_same(results[i], train_batch(solo[i], ignore, never), (runs[i], solo[i]), 1e-9)


def test_what_fails_for_all_is_raised_by_all(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: StackedReader, *arguments: Any) -> Any:
        raise torch.OutOfMemoryError("the device is full")

    monkeypatch.setattr(StackedReader, "read", fail)
    results = train_lanes(points(make_run))
    assert [type(result) for result in results] == [torch.OutOfMemoryError] * 3


def test_lanes_of_several_sizes_go_side_by_side(make_run: MakeRun) -> None:
    words = [{"minibatch_size": 16}, {"minibatch_size": 8}, {"num_epochs": 0}]
    runs, solo = ([points(make_run, **w)[i] for i, w in enumerate(words)] for _ in range(2))
    for lane, run, other in zip(train_lanes(runs), runs, solo, strict=True):
        assert_same(lane, train_batch(other, ignore, never), (run, other), 1e-9)


def test_a_lane_whose_step_is_not_due_takes_none(make_run: MakeRun) -> None:
    runs, solo = points(make_run), points(make_run)
    for found in (runs, solo):
        found[1] = replace(
            found[1],
            training=replace(found[1].training, step_rule="positive_loss"),
            diversity=replace(found[1].diversity, loss="deviation"),  # is negative
        )
    results = train_lanes(runs)
    assert [result.optimizer_steps > 0 for result in results] == [True, False, True]
    for lane, run, other in zip(results, runs, solo, strict=True):
        assert_same(lane, train_batch(other, ignore, never), (run, other), 1e-9)
