"""A run that goes on from a snapshot gives the bits of the undisturbed one."""

from collections.abc import Callable

import pytest

from cvfp_opt.model import segments
from cvfp_opt.training.events import Event, IterationTrained, ignore
from cvfp_opt.training.run import TrainingRun
from cvfp_opt.training.snapshot import NOTHING, Snapshot
from cvfp_opt.training.trainers import TRAINERS

MakeRun = Callable[..., TrainingRun]


class Memory:
    """A Keeper that keeps a copy."""

    def __init__(self) -> None:
        self.snapshot: Snapshot | None = None

    def load(self) -> Snapshot | None:
        return self.snapshot

    def save(self, snapshot: Snapshot) -> None:
        tensors = {name: tensor.clone() for name, tensor in snapshot.tensors.items()}
        self.snapshot = Snapshot(tensors=tensors, values=snapshot.values)


class Stopped(Exception):
    """The process went away."""


@pytest.mark.parametrize("stop_after", [0, 1, 2])
@pytest.mark.parametrize(
    ("trainer", "loss", "scale"),
    [
        ("batch", "orthogonality", "none"),
        ("batch", "deviation", "untrained"),
        ("online", "deviation", "untrained"),
    ],
)
def test_a_stopped_run_goes_on_to_the_same_bits(
    make_run: MakeRun,
    trainer: str,
    loss: str,
    scale: str,
    stop_after: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(segments, "MIN_LENGTH", 8)  # or the text would be one segment
    fast = {"training_pass": "segments", "measuring_pass": "repaired"}

    def fresh() -> TrainingRun:
        return make_run(
            loss=loss,
            scale=scale,
            trainer=trainer,
            schedule="adaptive",
            learning_rate_schedule="linear",
            **(fast if trainer == "batch" and scale == "none" else {}),
        )

    def stop(event: Event) -> None:
        if isinstance(event, IterationTrained) and event.metrics.iteration == stop_after + 1:
            raise Stopped

    train = TRAINERS[trainer]
    undisturbed = train(fresh(), ignore, lambda m: False, NOTHING)
    memory = Memory()
    if stop_after < 2:
        with pytest.raises(Stopped):
            train(fresh(), stop, lambda m: False, memory)
    else:
        train(fresh(), ignore, lambda m: False, memory)
    assert memory.snapshot is not None
    assert memory.snapshot.values["iteration"] == stop_after + 1
    told: list[int] = []

    def listen(event: Event) -> None:
        if isinstance(event, IterationTrained):
            told.append(event.metrics.iteration)

    resumed = train(fresh(), listen, lambda m: False, memory)
    assert resumed.weights_digest == undisturbed.weights_digest
    assert resumed.iterations == undisturbed.iterations
    assert resumed.optimizer_steps == undisturbed.optimizer_steps
    assert resumed.audit is not None
    assert undisturbed.audit is not None
    ours, theirs = resumed.audit.to_dict(), undisturbed.audit.to_dict()
    assert ours | {"seconds": 0} == theirs | {"seconds": 0}
    assert told == sorted(told)  # also what happened before the stop is told, in order
