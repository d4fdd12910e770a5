"""One optimizer step on some contexts: what the trainers share."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from cvfp_opt.model.diversity import DIVERSITY_LOSSES, updated_mean
from cvfp_opt.training.run import TrainingRun


class Stepper:
    """Optimizer, losses and running mean of one run.

    ``total = (1 - w) * cvfp + w * diversity``; gradient norm clipped; Adam.

    Attributes:
        steps: optimizer steps taken so far.
    """

    def __init__(self, run: TrainingRun) -> None:
        self.steps = 0
        self._network = run.network
        self._config = run.training
        self._momentum = run.diversity.mean_momentum
        self._diversity = DIVERSITY_LOSSES[run.diversity.loss]
        self._running_mean: Tensor | None = None
        self._optimizer = torch.optim.Adam(
            run.network.parameters(), lr=run.parameters.phase1_learning_rate, fused=True
        )

    def step(
        self, contexts: Tensor, target: Tensor | None, weight: float
    ) -> tuple[float, float, float]:
        """Train on contexts (B, D) towards ``target`` (B, D); None in the first iteration.

        Returns:
            cvfp loss, diversity loss, norm of the whole gradient (0 where no step was due).
        """
        cvfp = contexts.new_zeros(()) if target is None else self._cvfp_loss(contexts, target)
        diversity = self._diversity(contexts, self._running_mean)
        total = (1.0 - weight) * cvfp + weight * diversity
        norm = 0.0
        if self._config.step_rule == "always" or total.item() > 0 or math.isnan(total.item()):
            norm = self._update(total)
        self._running_mean = updated_mean(self._running_mean, contexts.detach(), self._momentum)
        return cvfp.item(), diversity.item(), norm

    def _cvfp_loss(self, contexts: Tensor, target: Tensor) -> Tensor:
        if self._config.cvfp_loss == "normalized":
            return F.mse_loss(F.normalize(contexts, dim=-1), F.normalize(target, dim=-1))
        return F.mse_loss(contexts, target)

    def _update(self, total: Tensor) -> float:
        self._optimizer.zero_grad(set_to_none=True)
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(
            self._network.parameters(), self._config.gradient_clip
        ).item()
        if math.isfinite(norm):
            self._optimizer.step()
            self.steps += 1
        return norm
