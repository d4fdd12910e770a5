"""Compile the kernels before they are needed, so that the wait can be announced."""

import time

import torch

from cvfp_opt.model.config import ModelConfig
from cvfp_opt.model.kernel import num_compiled, why_unkept
from cvfp_opt.model.matrix_products import PRODUCTS
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.model.passes import default_reader, sequential_pass, zero_context
from cvfp_opt.model.rounded_weights import RoundedWeights
from cvfp_opt.training.optimizer import ClippedAdam

SIZE = 16  # of a network: enough that the kernel of the optimizer takes it


def compile_kernels(
    trainer: str, num_layers: int, device: torch.device, precision: str = "bfloat16"
) -> float:
    """Compile what a trainer runs, or load it from numba's cache.

    Args:
        trainer: a key of TRAINERS.
        num_layers: L; the online trainer's kernel is one for each.
        device: where it will run.
        precision: a key of PRODUCTS; "float32" needs no kernel that rounds.

    Returns:
        The seconds that took; 0 where nothing had to be compiled.
    """
    started, before = time.perf_counter(), num_compiled()
    if default_reader(device) != "compiled":
        return 0.0
    config = ModelConfig(context_size=SIZE, embedding_size=SIZE, num_layers=num_layers)
    network = ContextNetwork(config, layernorm_mix=1.0, generator=torch.Generator().manual_seed(0))
    text = torch.eye(SIZE)
    zero = zero_context(network)
    sequential_pass(network, text, zero)
    if trainer == "batch":
        optimizer = torch.optim.Adam(network.parameters(), fused=True)
        rounded = RoundedWeights(network) if precision == "bfloat16" else None
        product = PRODUCTS["float32"] if rounded is None else rounded.linear
        clipped = ClippedAdam(optimizer, 1.0, rounded)
        for _ in range(2):  # the first step is torch's
            network(text, text, product).sum().backward()
            clipped.step()
    if trainer == "online":
        # not needed, nor loaded, for anything else
        from cvfp_opt.model.compiled_layer import Rule
        from cvfp_opt.model.online_block import train_block

        rule = Rule(
            weight=0.5,
            diversity_scale=1.0,
            mean_momentum=0.5,
            gradient_clip=1.0,
            normalized=False,
            always=True,
            mix=1.0,
            epsilon=1e-5,
            learning_rate=1e-3,
            beta1=0.9,
            beta2=0.999,
            adam_epsilon=1e-8,
        )
        adam = torch.optim.Adam(network.parameters())
        train_block(network, adam, rule, text, zero, None, None, torch.empty(SIZE, SIZE))
    # a cache that is read slowly is no compilation
    if num_compiled() == before and not why_unkept():
        return 0.0
    return time.perf_counter() - started
