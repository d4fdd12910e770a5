"""The interface of a trainer, and all trainers by name."""

from collections.abc import Callable, Mapping
from typing import Protocol

from cvfp_opt.training.batch import train_batch
from cvfp_opt.training.events import Observer
from cvfp_opt.training.online import train_online
from cvfp_opt.training.result import IterationMetrics, TrainingResult
from cvfp_opt.training.run import TrainingRun
from cvfp_opt.training.snapshot import NOTHING, Keeper


class Trainer(Protocol):
    """The interface of a trainer: train ``run.network`` in place, and return how it went.

    Numbers that break are an outcome; they raise nothing.

    Args:
        run: network, text and settings of the run.
        observe: called with each event; may raise to stop the run.
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


TRAINERS: Mapping[str, Trainer] = {"batch": train_batch, "online": train_online}
