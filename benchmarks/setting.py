"""The setting of the benchmarks: the machine, and the standard network and text."""

import os
import platform
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cvfp_opt.model.config import ModelConfig
from cvfp_opt.model.matrix_products import has_bfloat16
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.version import __version__

STANDARD = ModelConfig()
NUM_TOKENS = 6400


def machine(threads: int) -> dict[str, Any]:
    """Describe processor, versions and threads as plain JSON values."""
    return {
        "processor": _processor(),
        "processors": os.cpu_count(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "bfloat16": has_bfloat16(torch.device("cpu")),
        "threads": threads,
        "cvfp-opt": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numba": numba.__version__,
        "numpy": np.__version__,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if "model name" in line]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def make_network(config: ModelConfig = STANDARD, context_scale: float = 1.0) -> ContextNetwork:
    """Make an untrained network.

    Args:
        context_scale: factor on the half of each matrix that reads contexts. 1 is chaotic at the
            standard size, 0.3 contracts, as trained networks do.
    """
    network = ContextNetwork(config, layernorm_mix=1.0, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for layer in network.context_layers:
            layer.linear.weight[:, : config.context_size] *= context_scale
    return network


def make_text(num_tokens: int, config: ModelConfig = STANDARD) -> Tensor:
    """Draw a text of 2000 words: (T, E) layer-normalised embeddings."""
    generator = torch.Generator().manual_seed(1)
    table = torch.randn(2000, config.embedding_size, generator=generator)
    words = torch.randint(0, 2000, (num_tokens,), generator=generator)
    return F.layer_norm(table, (config.embedding_size,))[words]
