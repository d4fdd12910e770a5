"""A run that goes on from a snapshot gives the bits of the undisturbed one."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from cvfp_opt.model import segments
from cvfp_opt.model.passes import default_reader
from cvfp_opt.training import online
from cvfp_opt.training.events import Event, IterationFinished, IterationTrained, ignore
from cvfp_opt.training.result import Status, TrainingResult
from cvfp_opt.training.run import TrainingRun
from cvfp_opt.training.snapshot import NOTHING, Snapshot
from cvfp_opt.training.trainers import TRAINERS

MakeRun = Callable[..., TrainingRun]


def copied(snapshot: Snapshot) -> Snapshot:
    tensors = {name: tensor.clone() for name, tensor in snapshot.tensors.items()}
    return Snapshot(tensors=tensors, values=snapshot.values)


class Memory:
    """A Keeper that goes on from one snapshot, and keeps copies of all that come."""

    def __init__(self, begin: Snapshot | None = None) -> None:
        self.begin = begin
        self.snapshots: list[Snapshot] = []

    def load(self) -> Snapshot | None:
        return None if self.begin is None else copied(self.begin)

    def save(self, snapshot: Snapshot) -> None:
        self.snapshots.append(copied(snapshot))


def outcome(result: TrainingResult) -> dict[str, Any]:
    """All that a run gives but for what the clock says."""
    plain = result.to_dict()
    if plain["audit"]:
        plain["audit"]["seconds"] = 0.0
    return plain | {"seconds": sorted(plain["seconds"])}


def every_boundary(fresh: Callable[[], TrainingRun]) -> TrainingResult:
    """Train undisturbed, and then from each boundary on; the same every time."""
    train = TRAINERS[fresh().training.trainer]
    undisturbed = train(fresh(), ignore, lambda m: False, NOTHING)
    memory = Memory()
    train(fresh(), ignore, lambda m: False, memory)
    assert [s.values["iteration"] for s in memory.snapshots] == list(
        range(1, len(undisturbed.iterations))
    )
    for snapshot in memory.snapshots:
        later = Memory(snapshot)
        resumed = train(fresh(), ignore, lambda m: False, later)
        assert outcome(resumed) == outcome(undisturbed)
        rest = memory.snapshots[snapshot.values["iteration"] :]
        for ours, theirs in zip(later.snapshots, rest, strict=True):
            assert ours.tensors.keys() == theirs.tensors.keys()
            for name, tensor in theirs.tensors.items():
                assert torch.equal(ours.tensors[name], tensor), name
    return undisturbed


FAST = {"training_pass": "segments", "measuring_pass": "repaired", "precision": "bfloat16"}
F32 = {"dtype": torch.float32}
BATCH = {
    "plain": {},
    "fast": {**FAST, **F32},
    "segments, adaptive, falling": {
        "training_pass": "segments",
        "schedule": "adaptive",
        "learning_rate_schedule": "linear",
    },
    "repaired, staged, untrained scale": {
        "measuring_pass": "repaired",
        "schedule": "staged",
        "loss": "deviation",
        "scale": "untrained",
        "validated": True,
    },
    "bfloat16, all at once": {
        **FAST,
        **F32,
        "schedule": "adaptive",
        "learning_rate_schedule": "linear",
        "scale": "untrained",
        "loss": "coding_rate",
        "num_epochs": 3,
    },
    "positive loss, one epoch": {
        "step_rule": "positive_loss",
        "loss": "pairwise_distance",
        "num_epochs": 1,
        **F32,
    },
    "untrained": {"num_epochs": 0},
}


@pytest.mark.parametrize("settings", BATCH.values(), ids=BATCH.keys())
def test_batch_training_goes_on_to_the_same_bits_from_every_iteration(
    make_run: MakeRun, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "MIN_LENGTH", 8)  # or the text would be one segment
    result = every_boundary(lambda: make_run(num_iterations=5, **settings))
    assert (result.optimizer_steps > 0) == (settings.get("num_epochs") != 0)


def test_repairs_of_a_contracting_network_go_on_to_the_same_bits(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "MIN_LENGTH", 8)
    repaired: list[bool] = []
    original = segments.repaired_pass

    def counted(*arguments: Any) -> torch.Tensor | None:
        found = original(*arguments)
        repaired.append(found is not None)
        return found

    monkeypatch.setattr(segments, "repaired_pass", counted)

    def fresh() -> TrainingRun:
        run = make_run(num_iterations=5, **FAST, **F32)
        with torch.no_grad():
            for layer in run.network.context_layers:
                layer.linear.weight[:, 8:] *= 5.0  # tokens that drown what came before
        return run

    every_boundary(fresh)
    assert any(repaired)


def test_an_early_stop_reads_again_from_where_the_pass_before_had_started(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "MIN_LENGTH", 8)
    rates = {"phase1_convergence_threshold": 0.35, "dist_reg_weight": 0.0}
    settings = {**FAST, **F32, "num_iterations": 12, "min_converged_ratio": 0.9}
    result = every_boundary(lambda: make_run(parameters=rates, validated=True, **settings))
    assert result.status is Status.CONVERGED_EARLY
    assert 3 < len(result.iterations) < 11  # both passes were of segments, and are read again
    assert result.iterations[-1].exact


ONLINE = {
    "falling, adaptive": {"schedule": "adaptive", "learning_rate_schedule": "linear"},
    "untrained scale": {"scale": "untrained", "schedule": "staged", "validated": True},
    "the original's rule": {"step_rule": "positive_loss", "parameters": {"dist_reg_weight": 0.01}},
    "float32": {"learning_rate_schedule": "linear", **F32},
}


@pytest.mark.parametrize("kind", online.BLOCK_TRAINERS)
@pytest.mark.parametrize("settings", ONLINE.values(), ids=ONLINE.keys())
def test_online_training_goes_on_to_the_same_bits_from_every_iteration(
    make_run: MakeRun, settings: dict[str, Any], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "compiled" and default_reader(torch.device("cpu")) == "plain":
        pytest.skip("numba is switched off: no kernel")
    monkeypatch.setattr(online, "default_block_trainer", lambda run: kind)
    # wide enough for the compiled kernel's bits, see its module
    words = {"trainer": "online", "loss": "deviation", "sizes": (64, 64), **settings}
    result = every_boundary(lambda: make_run(num_iterations=5, **words))
    assert result.optimizer_steps > 0


def test_what_happened_before_is_told_again_in_order(make_run: MakeRun) -> None:
    def trained(begin: Snapshot | None, told: list[Event]) -> Memory:
        memory = Memory(begin)
        TRAINERS["batch"](make_run(), told.append, lambda m: False, memory)
        return memory

    told: list[Event] = []
    again: list[Event] = []
    trained(trained(None, told).snapshots[1], again)
    finished, repeated = (
        [e.metrics for e in events if isinstance(e, IterationTrained)] for events in (told, again)
    )
    assert repeated == finished
    scores, seen = (
        [e.metrics.score for e in events if isinstance(e, IterationFinished)]
        for events in (told, again)
    )
    assert seen == scores
