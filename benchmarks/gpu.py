"""What a GPU is worth: is it right there, how fast is it, and how many lanes pay.

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
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.setting import make_network, make_text
from cvfp_opt.model.diversity import orthogonality
from cvfp_opt.model.network import ContextNetwork, ModelConfig
from cvfp_opt.model.passes import sequential_pass, zero_context
from cvfp_opt.model.products import PRODUCTS
from cvfp_opt.model.stacked import StackedForward, StackedReader
from cvfp_opt.search.definition import StudyDefinition
from cvfp_opt.search.definition_file import read_sections, resolve_definition
from cvfp_opt.search.objective import Objective
from cvfp_opt.training.device import load_linear_algebra
from cvfp_opt.training.lanes import Lanes
from cvfp_opt.training.snapshot import Snapshot

SECONDS = 350.0  # after which nothing is begun


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large all is.

    Attributes:
        model: of the network.
        minibatch: rows of a training step.
        plain_tokens, tokens: read by the plain pass, and by all others.
        pass_lanes, trial_lanes: how many side by side.
        num_trials: of the whole search; 0 to leave it out.
        search_lanes: of the whole search.
        settings: on top of `recommended`.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    minibatch: int = 256
    plain_tokens: int = 256
    tokens: int = 1024
    pass_lanes: Sequence[int] = (1, 2, 4, 8, 16, 32, 64)
    trial_lanes: Sequence[int] = (1, 8, 16, 32)
    num_trials: int = 50
    search_lanes: int = 16
    settings: Sequence[str] = ()


STANDARD = Size()
SMALL = Size(
    model=ModelConfig(context_size=8, embedding_size=6, num_layers=2),
    minibatch=16,
    plain_tokens=16,
    tokens=32,
    pass_lanes=(1, 2),
    trial_lanes=(1, 2),
    num_trials=2,
    search_lanes=2,
    settings=(
        "model.context_size=8",
        "model.embedding_size=6",
        "model.num_layers=2",
        "training.num_iterations=4",
        "training.minibatch_size=16",
        "data.train_tokens=64",
    ),
)
# One point for all trials that are timed: the good one of docs/experiments.md, so strict that
# nothing ends early.
POINT = {
    "dist_reg_weight": 0.85,
    "phase1_learning_rate": 0.002,
    "phase1_convergence_threshold": 0.05,
    "layernorm_mix": 1.0,
}
WHOLE = ("training.min_converged_ratio=1.0", "search.pruner=none")


@dataclass(frozen=True, kw_only=True)
class Check:
    """Whether something is right: a figure and the limit that it must not exceed."""

    name: str
    figure: float
    limit: float

    @property
    def passed(self) -> bool:
        """NaN does not pass."""
        return self.figure <= self.limit


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One thing that was measured.

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
    """Check and measure, most needed first; a string names what was left out for lack of time."""
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


def checks(device: torch.device, size: Size) -> Iterator[Check]:
    """Compare with plain passes, with the CPU, with runs alone and with runs undisturbed."""
    network = make_network(size.model, context_scale=0.3).to(device)
    text = make_text(size.plain_tokens, size.model).to(device)
    zero = zero_context(network)
    plain = sequential_pass(network, text, zero, reader="plain")
    replayed = StackedReader().read([network], zero[None, None], text[None, None], "float32")
    yield Check(
        name="pass by graph against plain torch, largest difference",
        figure=(replayed[0, 0] - plain).abs().max().item(),
        limit=1e-3,
    )
    yield Check(
        name="a product in float32 against float64, relative (more than 1e-4 is TF32)",
        figure=product_error(device),
        limit=1e-5,
    )
    # one unit of ReLU that opens on one side only is 6e-4 of a gradient at the standard size;
    # against float64 the CPU's own bfloat16 is off by 0.12
    for precision, limit in (("float32", 2e-3), ("bfloat16", 0.1)):
        here = gradients(network, size, precision)
        there = gradients(make_network(size.model, context_scale=0.3), size, precision)
        yield Check(
            name=f"gradients of a step in {precision} against the CPU, relative",
            figure=distance(here, there),
            limit=limit,
        )
        yield Check(
            name=f"gradients of a step in {precision}, lanes against alone, relative",
            figure=max(
                distance(lane, here) for lane in stacked_gradients([network] * 3, size, precision)
            ),
            limit=limit,
        )
    yield Check(
        name="a trial that went on from a snapshot: digests of weights that differ",
        figure=float(resumed(device, size)),
        limit=0.0,
    )


def product_error(device: torch.device) -> float:
    """|a - b| / |b| for a matrix product with a sum over 1024, b in float64."""
    source = torch.Generator().manual_seed(4)
    left, right = (torch.randn(1024, 1024, generator=source).to(device) for _ in range(2))
    return distance([left @ right], [left.double() @ right.double()])


def gradients(network: ContextNetwork, size: Size, precision: str) -> list[Tensor]:
    """Gradients of one step's loss, on the network's device."""
    contexts, tokens, target = rows(network, size)
    network.zero_grad(set_to_none=True)
    loss(network(contexts, tokens, PRODUCTS[precision]), target).backward()
    return [p.grad.clone() for p in network.parameters() if p.grad is not None]


def stacked_gradients(
    networks: Sequence[ContextNetwork], size: Size, precision: str
) -> list[list[Tensor]]:
    """The same of several networks at once."""
    contexts, tokens, target = rows(networks[0], size)
    count = len(networks)
    forward = StackedForward(
        networks, contexts.expand(count, -1, -1), tokens.expand(count, -1, -1), precision
    )
    outer = {}
    for index in range(count):
        leaf = forward.contexts[index].clone().requires_grad_()
        (outer[index],) = torch.autograd.grad(loss(leaf, target), leaf)
    return [list(found.values()) for found in forward.gradients(outer)]


def rows(network: ContextNetwork, size: Size) -> tuple[Tensor, Tensor, Tensor]:
    """Contexts, tokens and targets of a minibatch: (B, D), (B, E), (B, D)."""
    source = torch.Generator().manual_seed(3)
    widths = (size.model.context_size, size.model.embedding_size, size.model.context_size)
    device = next(network.parameters()).device
    contexts, tokens, target = (
        torch.randn(size.minibatch, width, generator=source).to(device) for width in widths
    )
    return contexts, tokens, target


def loss(contexts: Tensor, target: Tensor) -> Tensor:
    """Half convergence, half diversity."""
    return F.mse_loss(contexts, target) + orthogonality(contexts, None)


def distance(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    """|a - b| / |b| over all of them."""
    pairs = [(a.double().cpu(), b.double().cpu()) for a, b in zip(found, wanted, strict=True)]
    above = sum((a - b).square().sum().item() for a, b in pairs)
    return float((above / sum(b.square().sum().item() for _, b in pairs)) ** 0.5)


class _Keeper:
    """Keeps the first snapshot, as a checkpoint would; gives one to go on from."""

    def __init__(self, begin: Snapshot | None = None) -> None:
        self.begin, self.kept = begin, None

    def load(self) -> Snapshot | None:
        return self.begin

    def save(self, snapshot: Snapshot) -> None:
        if self.kept is None:
            tensors = {name: tensor.clone() for name, tensor in snapshot.tensors.items()}
            self.kept = replace(snapshot, tensors=tensors)


def resumed(device: torch.device, size: Size) -> bool:
    """Whether a trial that goes on from its first snapshot ends with other weights."""
    short = ("training.num_iterations=3", "data.train_tokens=640", *size.settings, *WHOLE)
    objective = make_objective(device, short)
    first = _Keeper()
    whole = objective(POINT, 0, keeper=first)
    again = objective(POINT, 0, keeper=_Keeper(first.kept))
    assert first.kept is not None, "no snapshot was left"
    return whole.weights_digest != again.weights_digest


def make_objective(device: torch.device, settings: Sequence[str]) -> Objective:
    """The recommended study's."""
    definition = recommended(settings)
    return Objective(definition=definition, tokens=definition.load_tokens(), device=device)


def recommended(settings: Sequence[str]) -> StudyDefinition:
    """The recommended study, changed."""
    return resolve_definition(read_sections("recommended"), settings, where="recommended")


def passes(device: torch.device, size: Size) -> Iterator[Figure]:
    """Tokens a second: token by token, and replayed as a graph for more and more networks."""
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
    """Positions a second of training: forward, losses, backward; clip and Adam for each."""
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
    """One optimizer step of each network."""
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
    """Whether a parameter has no gradient: the last layer's token norm."""
    return name.startswith(f"layers.{network.config.num_layers - 1}.token_norm")


def search(device: torch.device, size: Size) -> Iterator[Figure]:
    """A whole search as a user types it."""
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
    """Whole trials at one point, alone and as lanes, begun while there is time."""
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
    """So many trials side by side; one runs alone, without lanes."""
    load_linear_algebra(objective.device)
    place = Lanes().lane if count > 1 else None
    objective = replace(objective, place=place) if place else objective
    with ThreadPoolExecutor(count) as pool:
        for ended in [pool.submit(objective, POINT, number) for number in range(count)]:
            ended.result()


def timed(work: Callable[[], object], device: torch.device) -> tuple[float, int | None]:
    """Median seconds of five runs after a first one, and bytes of the device at most."""
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
    """Wait for what the device was given to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def reset_memory(device: torch.device) -> None:
    """Begin to look for the most memory in use."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def used_memory(device: torch.device) -> int | None:
    """The most memory in use since ``reset_memory``; None on a CPU."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def lanes_words(count: int) -> str:
    """Words for a count."""
    return "1 lane" if count == 1 else f"{count} lanes"


def accelerator(device: torch.device) -> dict[str, Any]:
    """What the device is, as plain JSON values."""
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
