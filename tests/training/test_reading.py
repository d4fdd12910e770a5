"""The reported figures of a run are exact, whatever it trained on."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cvfp_opt.model import segments
from cvfp_opt.model.config import ModelConfig
from cvfp_opt.model.metrics import convergence_rate, effective_rank, residuals
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.model.passes import Lane, sequential_pass, zero_context
from cvfp_opt.model.segments import CHAOS, sampled_passes
from cvfp_opt.training import reading
from cvfp_opt.training.batch import train_batch
from cvfp_opt.training.events import ignore
from cvfp_opt.training.measuring import network_with
from cvfp_opt.training.result import Status, TrainingResult
from cvfp_opt.training.run import TrainingRun
from cvfp_opt.training.snapshot import Snapshot

MakeRun = Callable[..., TrainingRun]
SEGMENTS: dict[str, Any] = {"training_pass": "segments", "num_iterations": 7}


class Memory:
    """A Keeper that keeps all snapshots, and offers none."""

    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = []

    def load(self) -> None:
        return None

    def save(self, snapshot: Snapshot) -> None:
        tensors = {name: tensor.clone() for name, tensor in snapshot.tensors.items()}
        self.snapshots.append(Snapshot(tensors=tensors, values=snapshot.values))


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the short texts here would be one segment, which is exact."""
    monkeypatch.setattr(segments, "MIN_LENGTH", 4)
    monkeypatch.setattr(segments, "BURN_IN", 2)


def train(run: TrainingRun, memory: Memory | None = None) -> TrainingResult:
    return train_batch(run, ignore, lambda metrics: False, memory or Memory())


def test_the_first_and_the_last_two_passes_are_exact(make_run: MakeRun) -> None:
    memory = Memory()
    result = train(make_run(**SEGMENTS), memory)
    # of each iteration and the one before: the fifth's pass is exact, and the fourth's was not
    assert [m.exact for m in result.iterations] == [True, *[False] * 5, True]
    exact = [snapshot.values["exact"] for snapshot in memory.snapshots]
    assert exact == [True, False, False, False, False, True]


@pytest.mark.parametrize("validated", [False, True])
def test_what_is_reported_comes_from_two_sequential_passes(
    make_run: MakeRun, validated: bool
) -> None:
    run, memory = make_run(validated=validated, **SEGMENTS), Memory()
    result = train(run, memory)
    last, kept = result.last, memory.snapshots[-1]
    assert last is not None

    def passed(weights: str, text: Tensor, start: Tensor) -> Tensor:
        network: ContextNetwork = network_with(run, kept.below(weights))
        return sequential_pass(network, text, start)

    before = passed("previous_weights", run.train, kept.tensors["previous.train_start"])
    now = passed("network", run.train, before[-1])
    # the plain reader multiplies two texts at once, which rounds differently
    torch.testing.assert_close(before, kept.tensors["previous.train"], rtol=1e-9, atol=1e-9)
    assert last.effective_rank == pytest.approx(effective_rank(now), rel=1e-9)
    assert last.convergence_rate == convergence_rate(residuals(now, before), run.threshold)
    if validated:
        start = kept.tensors["previous.validation_start"]
        before = passed("previous_weights", run.held_out, start)
        now = passed("network", run.held_out, before[-1])
        assert last.validation_effective_rank == pytest.approx(effective_rank(now), rel=1e-9)


def test_segments_are_what_is_trained_on(make_run: MakeRun) -> None:
    exact, fast = train(make_run(num_iterations=7)), train(make_run(**SEGMENTS))
    assert exact.weights_digest != fast.weights_digest
    assert exact.iterations[:1] == fast.iterations[:1]


def test_an_early_stop_is_confirmed_by_exact_passes(make_run: MakeRun) -> None:
    loose = {"phase1_convergence_threshold": 50.0}
    result = train(make_run(min_converged_ratio=0.9, parameters=loose, **SEGMENTS))
    assert result.status is Status.CONVERGED_EARLY
    assert result.last is not None
    assert result.last.iteration < 5
    assert result.last.exact
    assert [m.iteration for m in result.iterations] == list(range(len(result.iterations)))


def test_an_early_stop_that_only_segments_see_is_none(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lying(network: Any, embeddings: Any, start: Any, previous: Tensor, *rest: Any) -> Tensor:
        return previous.clone()  # nothing moved

    monkeypatch.setattr(reading, "segment_pass", lying)
    strict = {"phase1_convergence_threshold": 1e-9}
    result = train(make_run(min_converged_ratio=0.5, parameters=strict, **SEGMENTS))
    assert result.status is Status.FINISHED
    assert all(m.convergence_rate == 0.0 for m in result.iterations)


def test_repaired_passes_measure_what_sequential_ones_do(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "CONTRACTION", 1e9)  # trust every network ...
    monkeypatch.setattr(segments, "MAX_ROUNDS", 20)  # ... and mend all segments, if need be
    asked: list[bool] = []
    repair = segments.repaired_pass

    def counting(*words: Any) -> Tensor | None:
        found = repair(*words)
        asked.append(found is not None)
        return found

    monkeypatch.setattr(segments, "repaired_pass", counting)
    sequential = train(make_run(**SEGMENTS))
    assert not asked
    repaired = train(make_run(measuring_pass="repaired", **SEGMENTS))
    assert asked.count(True) >= 3
    assert sequential.last is not None
    assert repaired.last is not None
    assert repaired.last.effective_rank == pytest.approx(sequential.last.effective_rank, rel=1e-3)
    assert repaired.last.residual == pytest.approx(sequential.last.residual, rel=0.05)


@pytest.mark.parametrize("exponent", [CHAOS - 0.01, CHAOS + 0.01], ids=["ordered", "chaotic"])
def test_only_a_chaotic_untrained_network_is_sampled(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, exponent: float
) -> None:
    monkeypatch.setattr(segments, "lyapunov_exponent", lambda *words: exponent)
    read_tokens: list[int] = []
    sequential = segments.sequential_passes

    def counting(network: Any, lanes: Any, *rest: Any, **options: Any) -> list[Tensor]:
        read_tokens.append(sum(len(lane.embeddings) for lane in lanes))
        return sequential(network, lanes, *rest, **options)

    monkeypatch.setattr(segments, "sequential_passes", counting)
    run = make_run(measuring_pass="sampled", training_pass="segments")
    result = train(run)
    assert result.audit is not None
    assert result.iterations[-1].exact, "what is reported of training is"
    assert result.iterations[0].exact == (exponent <= CHAOS)
    of_training = 4  # the last two passes, and the audit's of either weights
    assert len(read_tokens) == of_training + (2 if exponent <= CHAOS else 0)


def test_a_sample_is_of_the_same_kind_as_a_pass() -> None:
    """Two passes of a chaotic network differ as much as a sample differs from either."""
    config = ModelConfig(context_size=96, embedding_size=96, num_layers=6)
    network = ContextNetwork(config, layernorm_mix=1.0, generator=torch.Generator().manual_seed(0))
    text = torch.randn(2000, 96, generator=torch.Generator().manual_seed(1))
    text = F.layer_norm(text, (96,))
    start = zero_context(network)
    first = sequential_pass(network, text, start)
    second = sequential_pass(network, text, first[-1])
    (sample,), exact = sampled_passes(network, [Lane(text, start)])
    (other,), _ = sampled_passes(network, [Lane(text, sample[-1])])
    assert not exact
    assert torch.equal(sampled_passes(network, [Lane(text, start)])[0][0], sample)
    ranks = [effective_rank(contexts) for contexts in (first, second, sample, other)]
    assert max(ranks) - min(ranks) < 0.01
    between = [residuals(a, b) for a, b in ((first, second), (sample, other), (sample, second))]
    means = [moved.mean().item() for moved in between]
    assert min(means) > 0.3, "chaotic: passes have little in common"
    assert max(means) < 1.1 * min(means), "rounding decides each, and so does the processor"


def test_a_contracting_network_is_read_exactly_from_the_sample(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(segments, "MIN_LENGTH", 64)
    config = ModelConfig(context_size=96, embedding_size=96, num_layers=3)
    network = ContextNetwork(config, layernorm_mix=1.0, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for layer in network.context_layers:
            layer.linear.weight[:, :96] *= 0.3
    text = F.layer_norm(torch.randn(400, 96, generator=torch.Generator().manual_seed(1)), (96,))
    start = zero_context(network)
    monkeypatch.setattr(segments, "sequential_passes", None)  # a call would raise
    (found,), exact = sampled_passes(network, [Lane(text, start)])
    assert exact
    torch.testing.assert_close(
        found, sequential_pass(network, text, start), rtol=0, atol=96 * segments.TOLERANCE
    )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_same_run_gives_the_same_bits(make_run: MakeRun, precision: str) -> None:
    fast = SEGMENTS | {"precision": precision, "measuring_pass": "repaired"}
    once, again = (train(make_run(dtype=torch.float32, **fast)) for _ in "ab")
    assert once.weights_digest == again.weights_digest
    assert once.iterations == again.iterations


def test_precision_changes_a_training_a_little(make_run: MakeRun) -> None:
    wide, narrow = (
        train(make_run(dtype=torch.float32, precision=precision))
        for precision in ("float32", "bfloat16")
    )
    assert wide.weights_digest != narrow.weights_digest
    assert narrow.last is not None
    assert wide.last is not None
    assert narrow.last.residual == pytest.approx(wide.last.residual, rel=0.2)


def test_a_pruned_run_does_not_pay_for_the_baseline(make_run: MakeRun) -> None:
    run = make_run()
    result = train_batch(run, ignore, lambda metrics: metrics.iteration == 1)
    assert result.status is Status.PRUNED
    assert "audit" not in result.seconds
    first = sequential_pass(make_run().network, run.train, zero_context(run.network))
    assert result.iterations[0].effective_rank == effective_rank(first)
