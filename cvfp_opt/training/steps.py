"""The optimizer step that all trainers share."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from cvfp_opt.model.diversity import diversity_loss, untrained_scale, updated_mean
from cvfp_opt.model.rounded_weights import RoundedWeights
from cvfp_opt.training.compute import Alone
from cvfp_opt.training.learning_rates import LEARNING_RATE_SCHEDULES
from cvfp_opt.training.optimizer import ClippedAdam
from cvfp_opt.training.run import TrainingRun
from cvfp_opt.training.snapshot import Snapshot


class Stepper:
    """The optimizer, losses and running mean of one run.

    ``total = (1 - w) * cvfp + w * diversity``; gradient norm clipped; Adam.

    Attributes:
        steps: optimizer steps taken so far.
        scale: factor on the diversity loss; 1 unless `diversity.scale` asks for another.
    """

    def __init__(self, run: TrainingRun) -> None:
        self.steps = 0
        self.scale = 1.0
        self._learning_rate = run.parameters.phase1_learning_rate
        self._network = run.network
        self._compute = run.compute
        self._config = run.training
        self._momentum = run.diversity.mean_momentum
        self._scaled = run.diversity.scale == "untrained"
        self._diversity = diversity_loss(run.diversity.loss)
        self._running_mean: Tensor | None = None
        self._optimizer = torch.optim.Adam(
            run.network.parameters(), lr=self._learning_rate, fused=True
        )
        # several runs at once round theirs together
        alone = isinstance(run.compute, Alone)
        self._rounded = (
            RoundedWeights(run.network) if alone and run.training.precision == "bfloat16" else None
        )
        self._clipped = ClippedAdam(self._optimizer, run.training.gradient_clip, self._rounded)

    def fit_scale(self, first: Tensor, second: Tensor) -> None:
        """Choose the diversity loss's scale from two passes (T, D) of the untrained network."""
        if self._scaled:
            size = 1 if self._config.trainer == "online" else self._config.minibatch_size
            self.scale = untrained_scale(self._diversity, second, first, size)

    def set_learning_rate(self, iteration: int, num_trained: int, done: float = 0.0) -> float:
        """Set and return the learning rate at a place of training.

        Args:
            iteration: the one that trains.
            num_trained: iterations that train.
            done: share of this iteration's steps that were taken, in [0, 1).
        """
        schedule = LEARNING_RATE_SCHEDULES[self._config.learning_rate_schedule]
        rate = self._learning_rate * schedule(iteration, num_trained, done)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        return rate

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors that ``restore`` needs, for a Snapshot."""
        found: dict[str, Tensor] = {}
        for index, state in self._optimizer.state_dict()["state"].items():
            found |= {f"optimizer.{index}.{key}": value for key, value in state.items()}
        if self._running_mean is not None:
            found["running_mean"] = self._running_mean
        return found

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot."""
        states: dict[int, dict[str, Tensor]] = {}
        for name, tensor in snapshot.below("optimizer").items():
            index, _, key = name.partition(".")
            states.setdefault(int(index), {})[key] = tensor
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": states, "param_groups": groups})
        mean = snapshot.tensors.get("running_mean")
        device = next(self._network.parameters()).device
        self._running_mean = None if mean is None else mean.to(device)
        self.steps, self.scale = snapshot.values["steps"], snapshot.values["scale"]

    def forward(self, contexts: Tensor, tokens: Tensor) -> Tensor:
        """Compute the network's step for a minibatch, to train on: (B, D), (B, E) -> (B, D)."""
        if self._rounded is not None:
            after: Tensor = self._network(contexts, tokens, self._rounded.linear)
            return after
        return self._compute.forward(self._network, contexts, tokens, self._config.precision)

    def step(
        self, contexts: Tensor, target: Tensor | None, weight: float
    ) -> tuple[float, float, float]:
        """Train on contexts (B, D) towards ``target`` (B, D); None in the first iteration.

        Returns:
            cvfp loss, diversity loss (scaled), norm of the whole gradient (0 if no step was due).
        """
        cvfp = contexts.new_zeros(()) if target is None else self._cvfp_loss(contexts, target)
        diversity = self.scale * self._diversity(contexts, self._running_mean)
        total = (1.0 - weight) * cvfp + weight * diversity
        norm = 0.0
        if self._config.step_rule == "always" or total.item() > 0 or math.isnan(total.item()):
            norm = self._update(total, contexts)
        self._running_mean = updated_mean(self._running_mean, contexts.detach(), self._momentum)
        return cvfp.item(), diversity.item(), norm

    def step_compiled(
        self, tokens: Tensor, context: Tensor, target: Tensor | None, weight: float, out: Tensor
    ) -> list[list[float]]:
        """Read tokens (n, E) from a context (D,) on, with a compiled ``step`` after each.

        CPU, incoming contexts detached, and the loss "deviation" only; contexts (n, D) go to
        ``out``, and up to n triples as ``step`` gives them are returned: see ``train_block``.
        """
        from cvfp_opt.model.compiled_layer import Rule
        from cvfp_opt.model.online_block import train_block

        config, group = self._config, self._optimizer.param_groups[0]
        norm = self._network.context_layers[0].context_norm
        rule = Rule(
            weight=weight,
            diversity_scale=self.scale,
            mean_momentum=self._momentum,
            gradient_clip=config.gradient_clip,
            normalized=config.cvfp_loss == "normalized",
            always=config.step_rule == "always",
            mix=self._network.context_layers[0].layernorm_mix,
            epsilon=norm.eps,
            learning_rate=group["lr"],
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            adam_epsilon=group["eps"],
        )
        losses, taken, self._running_mean = train_block(
            self._network, self._optimizer, rule, tokens, context, target, self._running_mean, out
        )
        self.steps += taken
        rows: list[list[float]] = losses.tolist()
        return rows

    def _cvfp_loss(self, contexts: Tensor, target: Tensor) -> Tensor:
        if self._config.cvfp_loss == "normalized":
            return F.mse_loss(F.normalize(contexts, dim=-1), F.normalize(target, dim=-1))
        return F.mse_loss(contexts, target)

    def _update(self, total: Tensor, contexts: Tensor) -> float:
        self._optimizer.zero_grad(set_to_none=True)
        self._compute.backward(self._network, total, contexts)
        norm = self._clipped.step()
        if math.isfinite(norm):
            self.steps += 1
        return norm
