"""The online trainer against the original program's algorithm in plain autograd, step by step."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cvfp_opt.errors import DefinitionError
from cvfp_opt.training.config import TrainingConfig
from cvfp_opt.training.events import Event, ignore
from cvfp_opt.training.loop import UNTRAINED
from cvfp_opt.training.online import train_online
from cvfp_opt.training.result import IterationMetrics, Status, TrainingResult
from cvfp_opt.training.run import TrainingRun
from cvfp_opt.training.steps import Stepper
from cvfp_opt.tuning.definition_file import read_sections, resolve_definition

MakeRun = Callable[..., TrainingRun]
ONLINE = {"trainer": "online", "loss": "deviation"}


def train(run: TrainingRun, observe: Callable[[Event], None] = ignore) -> TrainingResult:
    return train_online(run, observe, lambda metrics: False)


def reference(run: TrainingRun) -> tuple[list[float], list[float], int]:
    """The original program's algorithm with its own Adam, clip, loss and average, in float64.

    Returns the mean residual and the convergence rate of each iteration, and the steps taken.
    """
    network, w, lr = (
        run.network,
        run.parameters.dist_reg_weight,
        run.parameters.phase1_learning_rate,
    )
    parameters = list(network.parameters())
    first = [torch.zeros_like(p) for p in parameters]
    second = [torch.zeros_like(p) for p in parameters]
    steps = 0
    average: Tensor | None = None
    previous: list[Tensor] | None = None
    context = torch.zeros(8, dtype=torch.float64)
    means, rates = [], []
    for _ in range(run.training.num_iterations):
        contexts = []
        for t, token in enumerate(run.train):
            new = network(context, token)
            total = torch.tensor(0.0, dtype=torch.float64)
            if previous is not None:
                total = total + (1 - w) * ((new - previous[t]) ** 2).mean()
            if average is not None:
                total = total - w * ((new - average) ** 2).sum().sqrt()
            if run.training.step_rule == "always" or total.item() > 0:
                steps += 1
                gradients: list[Tensor] = [torch.zeros_like(p) for p in parameters]
                if total.requires_grad:
                    found = torch.autograd.grad(total, parameters, allow_unused=True)
                    gradients = [
                        torch.zeros_like(p) if g is None else g
                        for p, g in zip(parameters, found, strict=True)
                    ]
                norm = math.sqrt(sum((g**2).sum().item() for g in gradients))
                scale = min(1.0, run.training.gradient_clip / (norm + 1e-6))
                with torch.no_grad():
                    for p, g, m, v in zip(parameters, gradients, first, second, strict=True):
                        m.mul_(0.9).add_(0.1 * scale * g)
                        v.mul_(0.999).add_(0.001 * (scale * g) ** 2)
                        m_hat, v_hat = m / (1 - 0.9**steps), v / (1 - 0.999**steps)
                        p.sub_(lr * m_hat / (v_hat.sqrt() + 1e-8))
            context = new.detach()
            average = context if average is None else 0.99 * average + 0.01 * context
            contexts.append(context)
        if previous is not None:
            moved = [((a - b) ** 2).mean().item() for a, b in zip(contexts, previous, strict=True)]
            means.append(sum(moved) / len(moved))
            rates.append(sum(m < run.threshold for m in moved) / len(moved))
        previous = contexts
    return means, rates, steps


@pytest.mark.parametrize("rule", ["always", "positive_loss"])
@pytest.mark.parametrize("weight", [0.02, 0.4])
def test_the_trainer_is_the_seeds_algorithm_number_for_number(
    make_run: MakeRun, rule: str, weight: float
) -> None:
    words = {"parameters": {"dist_reg_weight": weight}, "step_rule": rule, **ONLINE}
    run, copy = make_run(**words), make_run(**words)
    result = train(run)
    means, rates, steps = reference(copy)
    assert result.optimizer_steps == steps
    assert [m.residual for m in result.iterations[1:]] == pytest.approx(means, rel=1e-9)
    assert [m.convergence_rate for m in result.iterations[1:]] == rates
    for ours, theirs in zip(run.network.parameters(), copy.network.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_when_the_loss_is_never_positive_the_outcome_says_untrained(make_run: MakeRun) -> None:
    words = {"parameters": {"dist_reg_weight": 0.9}, "step_rule": "positive_loss", **ONLINE}
    run, untouched = make_run(**words), make_run(**words)
    result = train(run)
    assert result.status in (Status.FINISHED, Status.CONVERGED_EARLY)
    assert result.reason.startswith(UNTRAINED)
    assert result.optimizer_steps == 0
    for ours, theirs in zip(run.network.parameters(), untouched.network.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert result.audit is not None
    assert result.audit.baseline.effective_rank == pytest.approx(
        result.iterations[0].effective_rank, rel=1e-9
    )


def test_the_audit_reads_with_the_final_weights(make_run: MakeRun) -> None:
    gentle = {"dist_reg_weight": 0.0, "phase1_learning_rate": 0.003}
    result = train(make_run(parameters=gentle, num_iterations=6, **ONLINE))
    assert result.audit is not None
    assert result.audit.frozen_train.convergence > 0.9
    assert result.audit.absolute_convergence <= 1.0


def test_the_seeds_second_bug_is_torchs_own_error(make_run: MakeRun) -> None:
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        train(make_run(detach_context=False, **ONLINE))


@pytest.mark.parametrize(("kind", "expected"), [("raw", 4.0), ("normalized", 0.0)])
def test_the_seeds_first_bug_is_blind_to_length(
    make_run: MakeRun, kind: str, expected: float
) -> None:
    run = make_run(cvfp_loss=kind, **ONLINE)
    contexts = run.network(torch.zeros(1, 8, dtype=torch.float64), run.train[:1])
    target = contexts.detach() / 3
    cvfp, _, _ = Stepper(run).step(contexts, target, 0.0)
    assert cvfp == pytest.approx(expected * target.square().mean().item(), abs=1e-12)


def test_validation_may_be_held_out(make_run: MakeRun) -> None:
    # in float64 the kernel's last bits depend on where memory lies; trials run in float32
    tail, held_out = (
        train(make_run(validated=v, dtype=torch.float32, **ONLINE)) for v in (False, True)
    )
    assert tail.weights_digest == held_out.weights_digest
    assert tail.last is not None
    assert held_out.last is not None
    assert tail.last.validation_effective_rank != held_out.last.validation_effective_rank


def test_a_run_can_be_pruned_and_can_diverge(make_run: MakeRun) -> None:
    def prune(metrics: IterationMetrics) -> bool:
        return metrics.iteration == 1

    assert train_online(make_run(**ONLINE), ignore, prune).status is Status.PRUNED
    wild = train(make_run(parameters={"phase1_learning_rate": 1e200}, **ONLINE))
    assert wild.status is Status.DIVERGED
    assert wild.reason.endswith("in iteration 0")


def test_the_same_run_gives_the_same_bits(make_run: MakeRun) -> None:
    first, again = (train(make_run(dtype=torch.float32, **ONLINE)) for _ in range(2))
    assert first.weights_digest == again.weights_digest
    assert first.iterations == again.iterations


EXACT = [
    "training.precision=float32",
    "training.training_pass=exact",
    "training.learning_rate_schedule=constant",
]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ([*EXACT, "training.trainer=online"], '"orthogonality" compares the contexts of a minib'),
        (
            ["training.trainer=online"],
            "add --set training.precision=float32 --set training.training_pass=exact "
            "--set training.learning_rate_schedule=constant",
        ),
        ([*EXACT[:2], "training.trainer=online"], "add --set training.learning_rate_schedule="),
        (["training.detach_context=false"], 'possible with trainer = "online" only'),
        (["training.step_rule=positive"], "did you mean 'positive_loss'"),
        (["training.cvfp_loss=normalised"], "did you mean 'normalized'"),
    ],
)
def test_what_does_not_fit_together_is_refused(settings: list[str], message: str) -> None:
    with pytest.raises(DefinitionError) as error:
        resolve_definition({}, settings, where="x")
    assert message in str(error.value)


def test_the_seeds_definition_is_its_algorithm() -> None:
    definition = resolve_definition(read_sections("seed"), where="seed")
    assert definition.training == TrainingConfig(
        trainer="online",
        num_iterations=10,
        num_epochs=2,
        step_rule="positive_loss",
        learning_rate_schedule="constant",
        min_converged_ratio=0.95,
        precision="float32",
        training_pass="exact",
        measuring_pass="sequential",
    )
    assert definition.diversity.loss == "deviation"
