"""The clip and Adam of a step: torch's, or the same bits in one sweep over each parameter."""

import math
from functools import cache

import torch
from torch import Tensor, nn

from cvfp_opt.model.matrix_products import has_kernels, words_of
from cvfp_opt.model.rounded_weights import RoundedWeights


class ClippedAdam:
    """Clip the norm of the whole gradient, then let Adam step.

    On a CPU, with one thread, a compiled kernel does both, and rounds the matrices that are kept
    in bfloat16; else torch does. The bits are the same, and the moments are torch's own, so that
    a snapshot does not know which of them it is of.

    Args:
        adam: torch's optimizer, fused, without weight decay and the like.
        clip: limit on the norm.
        rounded: copies of its matrices to be kept up to date, if there are any.
    """

    def __init__(
        self, adam: torch.optim.Adam, clip: float, rounded: RoundedWeights | None = None
    ) -> None:
        self._adam = adam
        self._clip = clip
        self._rounded = rounded

    def step(self) -> float:
        """Take a step by the gradients there are, unless their norm is infinite or NaN.

        The gradients are left as they were, or clipped.

        Returns:
            The norm before the clip.
        """
        parameters = [p for p in self._adam.param_groups[0]["params"] if p.grad is not None]
        if not self._is_for_kernel(parameters):
            norm = nn.utils.clip_grad_norm_(parameters, self._clip)
            if math.isfinite(norm.item()):
                self._adam.step()
                for parameter in parameters:  # torch's fused step does not say that it wrote
                    torch.autograd.graph.increment_version(parameter)
            return norm.item()
        norm = nn.utils.get_total_norm([p.grad for p in parameters])
        if math.isfinite(norm.item()):
            # as clip_grad_norm_ computes it
            self._step_compiled(parameters, (self._clip / (norm + 1e-6)).clamp(max=1.0).item())
        return norm.item()

    def _is_for_kernel(self, parameters: list[Tensor]) -> bool:
        """Check whether the kernel can step: the first step of all makes torch's moments."""
        if torch.get_num_threads() > 1 or not all(p in self._adam.state for p in parameters):
            return False  # two threads of torch's are as fast, and then nothing is compiled
        from cvfp_opt.model.compiled_adam import VECTOR

        return (
            all(
                has_kernels(p.device)
                and p.dtype == torch.float32
                and p.numel() % VECTOR == 0
                and p.is_contiguous()
                and p.grad is not None
                and p.grad.is_contiguous()
                for p in parameters
            )
            and kernel_is_torchs()
        )

    def _step_compiled(self, parameters: list[Tensor], factor: float) -> None:
        from cvfp_opt.model.compiled_adam import adam_numbers, clipped_step, clipped_step_rounded

        group = self._adam.param_groups[0]
        for parameter in parameters:
            gradient, state = parameter.grad, self._adam.state[parameter]
            assert gradient is not None
            state["step"].add_(1)
            numbers = adam_numbers(
                state["step"].item(), factor, group["lr"], group["betas"], group["eps"]
            )
            arrays = [
                tensor.detach().view(-1).numpy()
                for tensor in (parameter, gradient, state["exp_avg"], state["exp_avg_sq"])
            ]
            copy = None if self._rounded is None else self._rounded.copy_of(parameter)
            if copy is None:
                clipped_step(*arrays, numbers)
            else:
                clipped_step_rounded(*arrays, numbers, *words_of(parameter, copy))
            torch.autograd.graph.increment_version(parameter)
            if self._rounded is not None and copy is not None:
                self._rounded.written(parameter)


@cache
def kernel_is_torchs() -> bool:
    """Check that the kernel gives torch's bits on this processor, with this torch.

    Where torch's compiler fuses other products and sums than ours, it does not, and is not used.
    """
    found = [_trial_steps(compiled) for compiled in (False, True)]
    return torch.equal(*found)


def _trial_steps(compiled: bool) -> Tensor:
    """Take a few steps of a vector, with and without a clip; return it with its moments."""
    generator = torch.Generator().manual_seed(0)
    vector = torch.randn(4096, generator=generator).requires_grad_()
    adam = torch.optim.Adam([vector], lr=1e-2, fused=True)
    for size in (1e-6, 1e-3, 1.0, 1e-4, 1e3):
        vector.grad = size * torch.randn(4096, generator=generator)
        optimizer = ClippedAdam(adam, clip=1.0)
        if compiled and adam.state:
            norm = nn.utils.get_total_norm([vector.grad])
            optimizer._step_compiled([vector], (1.0 / (norm + 1e-6)).clamp(max=1.0).item())
        else:
            nn.utils.clip_grad_norm_([vector], 1.0)
            adam.step()
    state = adam.state[vector]
    return torch.stack([vector.detach(), state["exp_avg"], state["exp_avg_sq"]])
