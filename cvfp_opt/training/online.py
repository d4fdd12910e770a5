"""The online trainer, the original program's: one optimizer step per token inside the pass.

The contexts of an iteration come from weights that move while they are read; only the validation
text and the audit are read with frozen weights. Batch losses have nothing to compare here.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from cvfp_opt.model.passes import (
    BLOCK,
    CONTEXT_LIMIT,
    ContextOverflow,
    default_reader,
    sequential_pass,
    zero_context,
)
from cvfp_opt.training.events import Observer, Phase, Progress
from cvfp_opt.training.loop import Loop, Losses, check_finite
from cvfp_opt.training.reading import Reading
from cvfp_opt.training.result import IterationMetrics, TrainingResult
from cvfp_opt.training.run import TrainingRun
from cvfp_opt.training.snapshot import NOTHING, Keeper
from cvfp_opt.training.steps import Stepper

BlockTrainer = Callable[[Tensor, Tensor, Tensor | None, float, Tensor], Iterable[Sequence[float]]]
"""Trains on tokens (n, E) one by one, from a context (D,) on, towards their contexts (n, D) of the
previous pass if there was one, with a ``dist_reg_weight``; contexts go to the last (n, D). Gives
cvfp loss, diversity loss and gradient norm of each, up to one where they are not finite."""


def plain_block_trainer(run: TrainingRun, stepper: Stepper) -> BlockTrainer:
    """Train by torch's own gradients and Adam: the reference, for every run."""
    lane: Tensor | None = None  # (1, D), with its graph, as bug 2 crosses the end of a block

    def train(
        tokens: Tensor, start: Tensor, target: Tensor | None, weight: float, out: Tensor
    ) -> Iterator[Sequence[float]]:
        nonlocal lane
        lane = start.unsqueeze(0) if lane is None else lane
        for t in range(tokens.shape[0]):
            # without the detach the second backward meets a freed graph: the original's bug 2
            incoming = lane.detach() if run.training.detach_context else lane
            lane = run.network(incoming, tokens[t : t + 1])  # (1, D)
            out[t] = lane.detach()[0]
            yield stepper.step(lane, None if target is None else target[t : t + 1], weight)

    return train


def compiled_block_trainer(run: TrainingRun, stepper: Stepper) -> BlockTrainer:
    """Train by the compiled kernel; ``default_block_trainer`` knows where it applies."""
    return stepper.step_compiled


BLOCK_TRAINERS: Mapping[str, Callable[[TrainingRun, Stepper], BlockTrainer]] = {
    "plain": plain_block_trainer,
    "compiled": compiled_block_trainer,
}


def default_block_trainer(run: TrainingRun) -> str:
    """Return ``compiled`` where the kernel computes the same, else ``plain``."""
    applies = run.training.detach_context and run.diversity.loss == "deviation"
    return default_reader(run.train.device) if applies else "plain"


def train_online(
    run: TrainingRun,
    observe: Observer,
    should_prune: Callable[[IterationMetrics], bool],
    keeper: Keeper = NOTHING,
) -> TrainingResult:
    """Train token by token, an optimizer step each, as the original program did.

    See the module and ``Trainer``."""
    method = OnlineMethod(run, observe)
    return Loop(
        run=run, method=method, observe=observe, should_prune=should_prune, keeper=keeper
    ).run_to_end()


class OnlineMethod:
    """A ``Method`` that trains while it reads.

    Args:
        kind: a key of BLOCK_TRAINERS; None for the run's default.
    """

    trains_while_reading = True

    def __init__(self, run: TrainingRun, observe: Observer, kind: str | None = None) -> None:
        self.stepper = Stepper(run)
        self._kind = kind or default_block_trainer(run)
        self._run = run
        self._observe = observe

    def read(
        self, iteration: int, previous: Reading | None, weight: float
    ) -> tuple[Reading, Losses]:
        run = self._run
        total = run.train.shape[0] + self._validation_tokens().shape[0]

        def progress(done: int) -> None:
            self._observe(
                Progress(iteration=iteration, phase=Phase.TRAINING, done=done, total=total)
            )

        train, losses = self._train_pass(iteration, previous, weight, progress)
        zero = zero_context(run.network)
        start = zero if previous is None else previous.validation[-1]
        validation = sequential_pass(
            run.network,
            self._validation_tokens(),
            start,
            lambda done: progress(run.train.shape[0] + done),
        )
        reading = Reading(
            train=train,
            validation=validation,
            train_start=zero if previous is None else previous.train[-1],
            validation_start=start,
        )
        return reading, losses

    def train(
        self, iteration: int, reading: Reading, previous: Reading | None, weight: float
    ) -> None:
        """Do nothing: all training happens while reading."""

    def _validation_tokens(self) -> Tensor:
        """Return the tokens (V, E) of the validation text, which is read on its own."""
        run = self._run
        return run.train[-run.num_validation :] if run.num_validation else run.held_out

    def _train_pass(
        self,
        iteration: int,
        previous: Reading | None,
        weight: float,
        progress: Callable[[int], None],
    ) -> tuple[Tensor, Losses]:
        run = self._run
        num_tokens = run.train.shape[0]
        start = zero_context(run.network) if previous is None else previous.train[-1]
        learning_rate = self.stepper.set_learning_rate(iteration, run.training.num_iterations)
        train_block = BLOCK_TRAINERS[self._kind](run, self.stepper)
        context = start
        contexts = torch.empty(num_tokens, start.shape[0], dtype=start.dtype, device=start.device)
        sums = [0.0, 0.0]
        for first in range(0, num_tokens, BLOCK):
            last = min(first + BLOCK, num_tokens)
            tokens, block = run.train[first:last], contexts[first:last]
            target = None if previous is None else previous.train[first:last]
            steps = train_block(tokens, context, target, weight, block)
            for t, losses in enumerate(steps, first):
                check_finite(*losses, where=f"token {t}")
                sums = [sums[0] + losses[0], sums[1] + losses[1]]
            largest = block.abs().max().item()
            if not largest <= CONTEXT_LIMIT:
                raise ContextOverflow(last, largest)
            context = block[-1]
            progress(last)
        return contexts, Losses(
            weight=weight,
            learning_rate=learning_rate,
            cvfp_loss=sums[0] / num_tokens,
            diversity_loss=sums[1] / num_tokens,
        )
