"""The online trainer's kernel against autograd and torch's Adam, token by token."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cvfp_opt.model.config import DiversityConfig, ModelConfig
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.model.passes import BLOCK, default_reader
from cvfp_opt.training.events import Event, Progress, ignore
from cvfp_opt.training.loop import Losses, NonFiniteLoss
from cvfp_opt.training.online import OnlineMethod, default_block_trainer
from cvfp_opt.training.run import TrainingRun

pytestmark = pytest.mark.skipif(
    default_reader(torch.device("cpu")) == "plain", reason="numba is switched off: no kernel"
)

MakeRun = Callable[..., TrainingRun]
ONLINE = {"trainer": "online", "loss": "deviation"}
D, E = 8, 6


def resized(
    run: TrainingRun, sizes: tuple[int, int, int], tokens: int, momentum: float = 0.99
) -> TrainingRun:
    """The run with a network and a text of other sizes (D, E, L)."""
    width, embedding, num_layers = sizes
    dtype, mix = run.train.dtype, run.parameters.layernorm_mix
    config = ModelConfig(context_size=width, embedding_size=embedding, num_layers=num_layers)
    network = ContextNetwork(
        config, layernorm_mix=mix, generator=torch.Generator().manual_seed(1)
    ).to(dtype)
    if mix == 0.0:  # else contexts explode
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(0.1)
    text = torch.randn(tokens, embedding, generator=torch.Generator().manual_seed(2))
    return replace(
        run,
        network=network,
        train=F.layer_norm(text, (embedding,)).to(dtype),
        diversity=DiversityConfig(loss="deviation", mean_momentum=momentum),
    )


def passes(
    run: TrainingRun, kind: str, scale: float = 1.0, num_passes: int = 2
) -> tuple[dict[str, Tensor], list[Losses], OnlineMethod]:
    """Everything that some passes of a trainer leave."""
    method = OnlineMethod(run, ignore, kind)
    method.stepper.scale = scale
    previous, found, left = None, [], dict[str, Tensor]()
    for k in range(num_passes):
        previous, losses = method.read(k, previous, run.parameters.dist_reg_weight)
        left[f"contexts.{k}"] = previous.train
        found.append(losses)
    left |= dict(run.network.named_parameters()) | method.stepper.tensors()
    return {name: value.detach() for name, value in left.items()}, found, method


OPTIONS: list[dict[str, Any]] = [
    {},
    {"cvfp_loss": "normalized"},
    {"step_rule": "positive_loss", "parameters": {"dist_reg_weight": 0.02}},
    {"step_rule": "positive_loss", "cvfp_loss": "normalized"},
    {"gradient_clip": 0.05},
    {"gradient_clip": 1e6},
    {"learning_rate_schedule": "linear", "parameters": {"dist_reg_weight": 0.0}},
    {"parameters": {"dist_reg_weight": 1.0}},
    {"momentum": 0.0},
    {"scale": 0.03},
]


@pytest.mark.parametrize("mix", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("sizes", [(8, 6, 1), (8, 6, 2), (5, 9, 3)])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_it_is_autograd_number_for_number(
    make_run: MakeRun, options: dict[str, Any], sizes: tuple[int, int, int], mix: float
) -> None:
    words = dict(options)
    scale, momentum = words.pop("scale", 1.0), words.pop("momentum", 0.99)
    rate = {"phase1_learning_rate": 0.003 if mix else 1e-5, "layernorm_mix": mix}
    words["parameters"] = rate | words.get("parameters", {})
    (theirs, their_losses, reference), (ours, our_losses, method) = (
        passes(resized(make_run(**ONLINE | words), sizes, 25, momentum), kind, scale)
        for kind in ("plain", "compiled")
    )
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-9, atol=1e-9, msg=name)
    assert method.stepper.steps == reference.stepper.steps
    for our, their in zip(our_losses, their_losses, strict=True):
        assert our.cvfp_loss == pytest.approx(their.cvfp_loss, rel=1e-9, abs=1e-9)
        assert our.diversity_loss == pytest.approx(their.diversity_loss, rel=1e-9, abs=1e-9)


def test_rows_that_nothing_uses_are_left_alone(make_run: MakeRun) -> None:
    run = resized(make_run(**ONLINE), (D, E, 2), 25)
    last = run.network.context_layers[-1]
    before, norm = last.linear.weight[D:].clone(), last.token_norm.weight.clone()
    left, _, method = passes(run, "compiled")
    assert method.stepper.steps == 50
    assert torch.equal(left["layers.1.linear.weight"][D:], before)
    assert torch.equal(left["layers.1.token_norm.weight"], norm)


def test_float32_is_float64_rounded(make_run: MakeRun) -> None:
    exact, rounded, again = (
        passes(resized(make_run(dtype=dtype, **ONLINE), (D, E, 2), tokens=8), "compiled")[0]
        for dtype in (torch.float64, torch.float32, torch.float32)
    )
    for name, value in exact.items():
        torch.testing.assert_close(
            rounded[name].double(), value.double(), rtol=1e-3, atol=1e-4, msg=name
        )
        assert torch.equal(rounded[name], again[name])


def test_without_a_step_there_is_no_optimizer_state(make_run: MakeRun) -> None:
    words = ONLINE | {"step_rule": "positive_loss", "parameters": {"dist_reg_weight": 0.9}}
    for kind in ("plain", "compiled"):
        left, _, method = passes(resized(make_run(**words), (D, E, 2), 25), kind)
        assert method.stepper.steps == 0
        assert method.stepper.tensors().keys() == {"running_mean"}
        assert torch.equal(left["running_mean"], method.stepper.tensors()["running_mean"])


def test_no_gradient_where_a_context_is_the_running_mean(make_run: MakeRun) -> None:
    run = resized(make_run(**ONLINE), (D, E, 2), 3, momentum=0.0)
    for parameter in run.network.parameters():  # all contexts are zero
        torch.nn.init.zeros_(parameter)
    left, _, method = passes(run, "compiled")
    assert method.stepper.steps == 6
    assert all(not value.any() for name, value in left.items() if not name.endswith("step"))


@pytest.mark.parametrize("rule", ["always", "positive_loss"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("at", [0, 7, BLOCK + 3])
def test_what_is_not_finite_ends_a_pass_where_autograd_does(
    make_run: MakeRun, at: int, value: float, rule: str
) -> None:
    texts, left, gentle = [], [], {"phase1_learning_rate": 1e-4}
    for kind in ("plain", "compiled"):
        words = ONLINE | {"step_rule": rule, "parameters": gentle}
        run = resized(make_run(**words), (D, E, 2), BLOCK + 9)
        run.train[at] = value
        method = OnlineMethod(run, ignore, kind)
        with pytest.raises(NonFiniteLoss, match=f"at token {at}$") as error:
            method.read(0, None, 0.4)
        texts.append(str(error.value))
        left.append([method.stepper.steps, *run.network.parameters()])
    assert texts[0] == texts[1]
    assert left[0][0] == left[1][0]
    for theirs, ours in zip(left[0][1:], left[1][1:], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_blocks_are_told_and_go_on_from_each_other(make_run: MakeRun) -> None:
    pairs = []
    for kind in ("plain", "compiled"):
        told: list[int] = []

        def listen(event: Event, told: list[int] = told) -> None:
            assert isinstance(event, Progress)
            told.append(event.done)

        gentle = {"phase1_learning_rate": 1e-4}
        run = resized(make_run(parameters=gentle, **ONLINE), (D, E, 2), 2 * BLOCK + 1)
        reading, _ = OnlineMethod(run, listen, kind).read(0, None, 0.1)
        pairs.append((told, reading.train))
    assert pairs[0][0] == pairs[1][0] == [BLOCK, 2 * BLOCK, 2 * BLOCK + 1, 2 * BLOCK + 11]
    torch.testing.assert_close(pairs[1][1], pairs[0][1], rtol=1e-9, atol=1e-9)


def test_a_running_mean_and_a_target_are_not_written_to(make_run: MakeRun) -> None:
    run = resized(make_run(**ONLINE), (D, E, 2), 25)
    method = OnlineMethod(run, ignore, "compiled")
    first, _ = method.read(0, None, 0.4)
    mean, target = method.stepper.tensors()["running_mean"], first.train
    copies = mean.clone(), target.clone()
    method.read(1, replace(first, train=target), 0.4)
    assert torch.equal(mean, copies[0])
    assert torch.equal(target, copies[1])


def test_autograd_trains_what_the_kernel_does_not_know(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert default_block_trainer(make_run(**ONLINE)) == "compiled"
    assert default_block_trainer(make_run(detach_context=False, **ONLINE)) == "plain"
    own = ONLINE | {"loss": "somebody.losses:own"}
    assert default_block_trainer(make_run(**own)) == "plain"
    elsewhere = make_run(**ONLINE)
    elsewhere = replace(elsewhere, train=elsewhere.train.to("meta"))
    assert default_block_trainer(elsewhere) == "plain"
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert default_block_trainer(make_run(**ONLINE)) == "plain"
