"""The batch trainer: it reads everything, then trains on shuffled minibatches of positions.

Iteration k: a gradient-free pass gives ``C_k``, which is compared with ``C_{k-1}``; then, for
E epochs, minibatches of positions t with the inputs ``x_t`` and ``C_k[t-1]`` (detached) are
trained towards the target ``C_{k-1}[t]``. The last iteration is a pass only, so the contexts
that are reported come from frozen weights.
"""

from collections.abc import Callable

import torch

from cvfp_opt.model.passes import zero_context
from cvfp_opt.training.events import Observer, Phase, Progress
from cvfp_opt.training.loop import Loop, Losses, check_finite
from cvfp_opt.training.reading import Reading, read
from cvfp_opt.training.result import IterationMetrics, TrainingResult
from cvfp_opt.training.run import TrainingRun
from cvfp_opt.training.snapshot import NOTHING, Keeper
from cvfp_opt.training.steps import Stepper


def train_batch(
    run: TrainingRun,
    observe: Observer,
    should_prune: Callable[[IterationMetrics], bool],
    keeper: Keeper = NOTHING,
) -> TrainingResult:
    """Train on minibatches of token positions, between two passes over the text.

    See the module and ``Trainer``."""
    method = BatchMethod(run, observe)
    return Loop(
        run=run, method=method, observe=observe, should_prune=should_prune, keeper=keeper
    ).run_to_end()


class BatchMethod:
    """A ``Method`` that reads with frozen weights, then trains on minibatches of positions."""

    trains_while_reading = False

    def __init__(self, run: TrainingRun, observe: Observer) -> None:
        self.stepper = Stepper(run)
        self._run = run
        self._observe = observe

    def read(
        self, iteration: int, previous: Reading | None, weight: float
    ) -> tuple[Reading, Losses | None]:
        at = Progress(iteration=iteration, phase=Phase.PASS, done=0, total=0)
        training = self._run.training
        reported = iteration >= training.num_iterations - 2  # the pass that is, and the one before
        exact = training.training_pass == "exact" or previous is None or reported
        untrained = previous is None
        return (
            read(self._run, previous, self._observe, at, exact=exact, untrained=untrained),
            None,
        )

    def train(
        self, iteration: int, reading: Reading, previous: Reading | None, weight: float
    ) -> Losses | None:
        run = self._run
        if run.training.num_epochs == 0:
            return None
        trained = run.training.num_iterations - 1
        learning_rate = self.stepper.set_learning_rate(iteration, trained)
        num_tokens, size = run.train.shape[0], run.training.minibatch_size
        start = zero_context(run.network) if previous is None else previous.train[-1]
        incoming = torch.cat([start.unsqueeze(0), reading.train[:-1]])  # (T, D): C_k[t-1]
        target = None if previous is None else previous.train  # (T, D): C_{k-1}[t]
        cvfp_losses, diversity_losses = [], []
        total = run.training.num_epochs * num_tokens
        minibatches = -(-num_tokens // size)
        for epoch in range(run.training.num_epochs):
            order = torch.randperm(num_tokens, generator=run.minibatch_generator)
            for first in range(0, num_tokens, size):
                step = epoch * minibatches + first // size
                done = step / (run.training.num_epochs * minibatches)
                self.stepper.set_learning_rate(iteration, trained, done)
                chosen = order[first : first + size].to(incoming.device)
                contexts = self.stepper.forward(incoming[chosen], run.train[chosen])  # (B, D)
                wanted = None if target is None else target[chosen]
                losses = self.stepper.step(contexts, wanted, weight)
                check_finite(*losses, where=f"minibatch {first // size} of epoch {epoch}")
                cvfp_losses.append(losses[0])
                diversity_losses.append(losses[1])
                read_so_far = epoch * num_tokens + min(first + size, num_tokens)
                self._observe(
                    Progress(
                        iteration=iteration, phase=Phase.TRAINING, done=read_so_far, total=total
                    )
                )
        return Losses(
            weight=weight,
            learning_rate=learning_rate,
            cvfp_loss=sum(cvfp_losses) / len(cvfp_losses),
            diversity_loss=sum(diversity_losses) / len(diversity_losses),
        )
