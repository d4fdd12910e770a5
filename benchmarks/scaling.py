"""Time against tokens, width, threads and processes, and the limit that memory sets."""

import subprocess
import sys
import time
from typing import Any

import numpy as np
import torch
from numba import njit

from benchmarks.setting import STANDARD, make_network, make_text
from benchmarks.step import bfloat16, training_step
from cvfp_opt.model.config import ModelConfig
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.model.passes import sequential_pass, zero_context
from cvfp_opt.model.segments import segment_pass
from cvfp_opt.training.device import available_threads

TOKENS = (800, 1600, 3200, 6400, 12800, 25600)
WIDTHS = (192, 384, 768, 1152, 1536)
WIDTH_TOKENS = 640


@njit(cache=True, error_model="numpy", fastmath=True)
def _total(values):
    total = values[0]
    for i in range(1, values.shape[0]):
        total += values[i]
    return total


def bandwidth(num_bytes: int) -> float:
    """Measure the bytes a second that one thread reads of an array, over and over."""
    values = np.ones(num_bytes // 4, np.float32)
    rounds = max(3, 2**31 // num_bytes)
    for count in (2, rounds):
        started = time.perf_counter()
        for _ in range(count):
            _total(values)
    return num_bytes * rounds / (time.perf_counter() - started)


def weight_bytes(config: ModelConfig) -> int:
    """Count the bytes of weights that a token needs.

    Layer 1's token half and the last layer's token rows are not among them.
    """
    width = config.context_size + config.embedding_size
    edges = width * config.context_size + config.context_size * width
    return 4 * (edges + (config.num_layers - 2) * width * width)


def seconds_of(run: Any) -> float:
    """Time two runs; return the faster one."""
    found = []
    for _ in range(2):
        started = time.perf_counter()
        run()
        found.append(time.perf_counter() - started)
    return min(found)


def pass_seconds(network: ContextNetwork, num_tokens: int) -> dict[str, float]:
    """Time a compiled pass and one of segments, over so many tokens."""
    text, zero = make_text(num_tokens, network.config), zero_context(network)
    near = torch.randn(num_tokens, network.config.context_size)
    return {
        "compiled": seconds_of(lambda: sequential_pass(network, text, zero)),
        "segments, float32": seconds_of(lambda: segment_pass(network, text, zero, near)),
        "segments, bfloat16": seconds_of(
            lambda: segment_pass(network, text, zero, near, "bfloat16")
        ),
    }


def scaling() -> dict[str, Any]:
    """Measure all curves; times in seconds a token, bandwidths in bytes a second."""
    network = make_network()
    found: dict[str, Any] = {"tokens": [], "width": [], "threads": [], "processes": []}
    for count in TOKENS:
        spent = pass_seconds(network, count)
        found["tokens"].append(
            {"tokens": count} | {name: value / count for name, value in spent.items()}
        )
    for width in WIDTHS:
        config = ModelConfig(context_size=width, embedding_size=width)
        size = weight_bytes(config)
        spent = pass_seconds(make_network(config), WIDTH_TOKENS)
        row = {name: value / WIDTH_TOKENS for name, value in spent.items()}
        found["width"].append(
            {"width": width, "bytes": size, "memory": size / bandwidth(size)} | row
        )
    before, step = torch.get_num_threads(), training_step(bfloat16)
    for count in range(1, available_threads() + 1):
        torch.set_num_threads(count)
        step()
        seconds = seconds_of(lambda: [step() for _ in range(10)]) / 10
        found["threads"].append({"threads": count, "step": seconds})
    torch.set_num_threads(before)
    for count in (1, 2):
        found["processes"].append({"processes": count, "tokens_per_second": _together(count)})
    found["weight_bytes"] = weight_bytes(STANDARD)
    return found


ALONE = """
import sys, torch
torch.set_num_threads(1)
from benchmarks.scaling import *
network, text = make_network(), make_text(1600)
sequential_pass(network, text[:64], zero_context(network))
print("ready", flush=True)
sys.stdin.readline()
print(1600 / seconds_of(lambda: sequential_pass(network, text, zero_context(network))))
"""


def _together(count: int) -> float:
    """Measure tokens a second of that many processes, each with a pass of its own."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ALONE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(count)
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    total = 0.0
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        out, _ = process.communicate()
        total += float(out)
    return total
