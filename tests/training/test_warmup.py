"""The kernels that are compiled before the first trial are those that the trials run."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from cvfp_opt.model import compiled, compiled_online
from cvfp_opt.model.config import ModelConfig
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.model.passes import Lane, default_reader, sequential_passes, zero_context
from cvfp_opt.training import warmup
from cvfp_opt.training.events import ignore
from cvfp_opt.training.online import OnlineMethod
from cvfp_opt.training.warmup import compile_kernels

CPU = torch.device("cpu")
needs_numba = pytest.mark.skipif(
    default_reader(CPU) == "plain", reason="numba is switched off: nothing to compile"
)


@needs_numba
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_pass_finds_its_kernel_compiled(layers: int) -> None:
    compile_kernels("batch", layers, CPU)
    before = list(compiled._read.signatures)
    config = ModelConfig(context_size=9, embedding_size=7, num_layers=layers)
    network = ContextNetwork(config, layernorm_mix=0.5, generator=torch.Generator().manual_seed(0))
    text = F.layer_norm(torch.randn(30, 7, generator=torch.Generator().manual_seed(1)), (7,))
    for count in (1, 2):
        sequential_passes(network, [Lane(text, zero_context(network))] * count)
    assert compiled._read.signatures == before


@needs_numba
def test_online_training_finds_its_kernel_compiled(make_run: Any) -> None:
    run = make_run(trainer="online", loss="deviation", dtype=torch.float32)
    compile_kernels("online", run.network.config.num_layers, CPU)
    before = list(compiled_online.train.signatures)
    method = OnlineMethod(run, ignore, "compiled")
    reading, _ = method.read(0, None, 0.4)
    method.read(1, reading, 0.4)
    assert compiled_online.train.signatures == before


def test_without_kernels_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*words: Any) -> None:
        raise AssertionError("compiled")

    monkeypatch.setattr(warmup, "sequential_pass", fail)
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert compile_kernels("online", 2, CPU) == 0.0
    assert compile_kernels("batch", 2, torch.device("cuda")) == 0.0


@needs_numba
@pytest.mark.processes
def test_only_what_was_compiled_takes_time_that_is_told(tmp_path: Path) -> None:
    code = (
        "import torch; from cvfp_opt.training.warmup import compile_kernels; "
        "print(compile_kernels('batch', 1, torch.device('cpu')))"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}

    def seconds() -> float:
        words = [sys.executable, "-c", code]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
        return float(done.stdout)

    assert seconds() > 0
    assert seconds() == 0  # read from the cache, however slowly
