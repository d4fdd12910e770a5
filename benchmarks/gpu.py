"""GPUs: whether figures are right there, how fast it is, and how many lanes pay.

``python -m benchmarks gpu`` needs six minutes at most: what would begin after its time is left out
by name. With ``--small`` it does all the same on a tiny network, on a CPU too: its figures then
mean nothing, and that it runs is tested.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.gpu_checks import Check, checks, gradients, stacked_gradients
from benchmarks.gpu_setting import POINT, STANDARD, WHOLE, Size, make_objective
from benchmarks.setting import make_network, make_text
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.model.passes import sequential_pass, zero_context
from cvfp_opt.model.stacked import StackedReader
from cvfp_opt.training.device import load_linear_algebra
from cvfp_opt.training.lanes import Lanes
from cvfp_opt.tuning.objective import Objective

SECONDS = 350.0  # after which nothing is begun


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measurement.

    Attributes:
        name: what.
        value: how much, of ``unit``.
        memory: bytes that it took on the device at most; None on a CPU.
        note: what a reader has to know.
    """

    name: str
    value: float
    unit: str
    memory: int | None = None
    note: str = ""


def gpu(device: torch.device, size: Size = STANDARD) -> Iterator[Check | Figure | str]:
    """Check and measure, most needed first; a string names what is left out for lack of time."""
    started = time.perf_counter()
    parts: Mapping[str, Callable[[], Iterator[Check | Figure]]] = {
        "checks": lambda: checks(device, size),
        "passes": lambda: passes(device, size),
        "training steps": lambda: steps(device, size),
        "search": lambda: search(device, size),
        "trials": lambda: trials(device, size, started),
    }
    for name, part in parts.items():
        if time.perf_counter() - started > SECONDS:
            yield f"{name}: left out, the time was used up"
        else:
            yield from part()


def passes(device: torch.device, size: Size) -> Iterator[Figure]:
    """Measure tokens a second: token by token, and as a graph for more and more networks."""
    network = make_network(size.model).to(device)
    zero = zero_context(network)
    plain = make_text(size.plain_tokens, size.model).to(device)
    seconds, memory = timed(lambda: sequential_pass(network, plain, zero, reader="plain"), device)
    yield Figure(
        name="pass, plain torch", value=len(plain) / seconds, unit="tokens/s", memory=memory
    )
    text = make_text(size.tokens, size.model).to(device)
    for count in size.pass_lanes:
        networks = [make_network(size.model).to(device) for _ in range(count)]
        contexts = zero.expand(count, 1, -1).contiguous()
        tokens = text.expand(count, 1, -1, -1).contiguous()  # (N, 1, T, E)
        reader = StackedReader()  # one for the warm-up and the rest: the graph is kept
        most = count == max(size.pass_lanes)
        for precision in ("float32", "bfloat16") if most else ("float32",):
            work = partial(reader.read, networks, contexts, tokens, precision)
            seconds, memory = timed(work, device)
            yield Figure(
                name=f"pass, {lanes_words(count)}, {precision}",
                value=count * len(text) / seconds,
                unit="tokens/s",
                memory=memory,
            )


def steps(device: torch.device, size: Size) -> Iterator[Figure]:
    """Measure positions a second of training: forward, losses, backward, clip and Adam."""
    for precision in ("float32", "bfloat16"):
        for count in size.trial_lanes:
            networks = [make_network(size.model).to(device) for _ in range(count)]
            optimizers = [
                torch.optim.Adam(network.parameters(), lr=1e-4, fused=True) for network in networks
            ]
            work = partial(train_once, networks, optimizers, size, precision)
            seconds, memory = timed(work, device)
            yield Figure(
                name=f"training step, {lanes_words(count)}, {precision}",
                value=count * size.minibatch / seconds,
                unit="positions/s",
                memory=memory,
            )


def train_once(
    networks: Sequence[ContextNetwork],
    optimizers: Sequence[torch.optim.Optimizer],
    size: Size,
    precision: str,
) -> None:
    """Take one optimizer step of each network."""
    if len(networks) == 1:
        found = [gradients(networks[0], size, precision)]
    else:
        found = stacked_gradients(networks, size, precision)
    for network, optimizer, values in zip(networks, optimizers, found, strict=True):
        if len(networks) > 1:
            asked = [p for name, p in network.named_parameters() if not unused(name, network)]
            for parameter, value in zip(asked, values, strict=True):
                parameter.grad = value
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()


def unused(name: str, network: ContextNetwork) -> bool:
    """Check whether a parameter has no gradient ever: the last layer's token norm."""
    return name.startswith(f"layers.{network.config.num_layers - 1}.token_norm")


def search(device: torch.device, size: Size) -> Iterator[Figure]:
    """Run a whole search as a user types it."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["run", "--n-trials", str(size.num_trials), "--device", device.type]
        words += ["--lanes", str(size.search_lanes), "--storage", str(Path(folder) / "study.db")]
        words += [word for setting in size.settings for word in ("--set", setting)]
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "cvfp_opt", *words], check=True, stdout=sys.stderr)
        spent = time.perf_counter() - started
    name = f"search: {size.num_trials} trials of recommended, {lanes_words(size.search_lanes)}"
    yield Figure(name=name, value=spent, unit="s", note="with its start")


def trials(device: torch.device, size: Size, started: float) -> Iterator[Figure]:
    """Run whole trials at one point, alone and as lanes, begun while there is time."""
    objective = make_objective(device, (*size.settings, *WHOLE))
    longest = 0.0
    for count in size.trial_lanes:
        if time.perf_counter() - started + longest > SECONDS:
            return
        reset_memory(device)
        begun = time.perf_counter()
        run_trials(objective, count)
        longest = time.perf_counter() - begun
        yield Figure(
            name=f"whole trials, {lanes_words(count)}",
            value=longest / count,
            unit="s a trial",
            memory=used_memory(device),
        )


def run_trials(objective: Objective, count: int) -> None:
    """Run so many trials side by side; one runs alone, without lanes."""
    load_linear_algebra(objective.device)
    place = Lanes().lane if count > 1 else None
    objective = replace(objective, place=place) if place else objective
    with ThreadPoolExecutor(count) as pool:
        for ended in [pool.submit(objective, POINT, number) for number in range(count)]:
            ended.result()


def timed(work: Callable[[], object], device: torch.device) -> tuple[float, int | None]:
    """Time five runs after a first one; return the median seconds, and the device's peak bytes."""
    work()
    reset_memory(device)
    found = []
    for _ in range(5):
        synchronize(device)
        started = time.perf_counter()
        work()
        synchronize(device)
        found.append(time.perf_counter() - started)
    return median(found), used_memory(device)


def synchronize(device: torch.device) -> None:
    """Wait for the work that the device was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def reset_memory(device: torch.device) -> None:
    """Begin to record the peak of memory in use."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def used_memory(device: torch.device) -> int | None:
    """Return the peak of memory in use since ``reset_memory``; None on a CPU."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def lanes_words(count: int) -> str:
    """Word a number of lanes."""
    return "1 lane" if count == 1 else f"{count} lanes"


def accelerator(device: torch.device) -> dict[str, Any]:
    """Describe the device as plain JSON values."""
    if device.type != "cuda":
        return {"device": device.type}
    about = torch.cuda.get_device_properties(device)
    return {
        "device": about.name,
        "memory": about.total_memory,
        "multiprocessors": about.multi_processor_count,
        "cuda": torch.version.cuda,
    }


def to_json(found: Check | Figure | str) -> dict[str, Any]:
    """As plain JSON values."""
    if isinstance(found, str):
        return {"left_out": found}
    return asdict(found) | ({"passed": found.passed} if isinstance(found, Check) else {})
