"""The online trainer: the seed's own algorithm, one optimizer step per token inside the pass.

The contexts of an iteration come from weights that move while they are read; only the validation
text and the audit are read with frozen weights. Batch losses have nothing to compare here.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from cvfp_opt.model.passes import (
    BLOCK,
    CONTEXT_LIMIT,
    ContextOverflow,
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


def train_online(
    run: TrainingRun,
    observe: Observer,
    should_prune: Callable[[IterationMetrics], bool],
    keeper: Keeper = NOTHING,
) -> TrainingResult:
    """Train token by token; see the module and ``Trainer``."""
    method = OnlineMethod(run, observe)
    return Loop(
        run=run, method=method, observe=observe, should_prune=should_prune, keeper=keeper
    ).run_to_end()


class OnlineMethod:
    """A ``Method`` that trains while it reads."""

    trains_while_reading = True

    def __init__(self, run: TrainingRun, observe: Observer) -> None:
        self.stepper = Stepper(run)
        self._run = run
        self._observe = observe

    def read(
        self, iteration: int, previous: Reading | None, weight: float
    ) -> tuple[Reading, Losses]:
        run = self._run
        total = run.train.shape[0] + self._validation_tokens().shape[0]

        def tell(done: int) -> None:
            self._observe(
                Progress(iteration=iteration, phase=Phase.TRAINING, done=done, total=total)
            )

        train, losses = self._train_pass(iteration, previous, weight, tell)
        zero = zero_context(run.network)
        start = zero if previous is None else previous.validation[-1]
        validation = sequential_pass(
            run.network,
            self._validation_tokens(),
            start,
            lambda done: tell(run.train.shape[0] + done),
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
        """Nothing is left to train between two passes."""

    def _validation_tokens(self) -> Tensor:
        """(V, E): read as a text of its own, from its own last context."""
        run = self._run
        return run.train[-run.num_validation :] if run.num_validation else run.held_out

    def _train_pass(
        self,
        iteration: int,
        previous: Reading | None,
        weight: float,
        tell: Callable[[int], None],
    ) -> tuple[Tensor, Losses]:
        run = self._run
        num_tokens = run.train.shape[0]
        start = zero_context(run.network) if previous is None else previous.train[-1]
        learning_rate = self.stepper.set_learning_rate(iteration, run.training.num_iterations)
        context = start.unsqueeze(0)  # (1, D)
        contexts = torch.empty(num_tokens, start.shape[0], dtype=start.dtype, device=start.device)
        sums = [0.0, 0.0]
        for t in range(num_tokens):
            # without the detach the second backward meets a graph that is gone: the seed's bug 2
            incoming = context.detach() if run.training.detach_context else context
            context = run.network(incoming, run.train[t : t + 1])  # (1, D)
            target = None if previous is None else previous.train[t : t + 1]
            losses = self.stepper.step(context, target, weight)
            check_finite(*losses, where=f"token {t}")
            sums = [sums[0] + losses[0], sums[1] + losses[1]]
            contexts[t] = context.detach()[0]
            if (t + 1) % BLOCK == 0 or t + 1 == num_tokens:
                largest = contexts[t // BLOCK * BLOCK : t + 1].abs().max().item()
                if not largest <= CONTEXT_LIMIT:
                    raise ContextOverflow(t + 1, largest)
                tell(t + 1)
        return contexts, Losses(
            weight=weight,
            learning_rate=learning_rate,
            cvfp_loss=sums[0] / num_tokens,
            diversity_loss=sums[1] / num_tokens,
        )
