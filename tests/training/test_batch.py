"""The batch trainer against an independent reference, and every way that a run can end."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cvfp_opt.model.diversity import DIVERSITY_LOSSES
from cvfp_opt.model.metrics import effective_rank
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.model.passes import sequential_pass, zero_context
from cvfp_opt.model.schedules import WEIGHT_SCHEDULES
from cvfp_opt.training.batch import train_batch
from cvfp_opt.training.config import FROZEN_SPLITS, ObjectiveConfig
from cvfp_opt.training.events import Event, IterationFinished, Phase, Progress, ignore
from cvfp_opt.training.learning_rates import LEARNING_RATE_SCHEDULES
from cvfp_opt.training.result import Status, TrainingResult
from cvfp_opt.training.run import TrainingRun, weights_digest

WIDTH = 8
MakeRun = Callable[..., TrainingRun]


def train(run: TrainingRun, observe: Callable[[Event], None] = ignore) -> TrainingResult:
    return train_batch(run, observe, lambda metrics: False)


def reference(run: TrainingRun) -> tuple[list[dict[str, float]], ContextNetwork]:
    """cvfp.md's "batch" in plain autograd, token by token: its own loop, loss, clip and rank."""
    network, w = run.network, run.parameters.dist_reg_weight
    parameters = list(network.parameters())
    optimizer = torch.optim.Adam(parameters, lr=run.parameters.phase1_learning_rate)
    previous: Tensor | None = None
    rows = []
    trained, steps = run.training.num_iterations - 1, 0
    minibatches = math.ceil(len(run.train) / run.training.minibatch_size)
    all_steps = trained * run.training.num_epochs * minibatches
    for k in range(run.training.num_iterations):
        if run.training.learning_rate_schedule == "linear":
            optimizer.param_groups[0]["lr"] = run.parameters.phase1_learning_rate * (
                1 - k / trained
            )
        start = torch.zeros(WIDTH, dtype=torch.float64) if previous is None else previous[-1]
        context, contexts = start, []
        for token in run.train:
            context = network(context, token).detach()
            contexts.append(context)
        now = torch.stack(contexts)
        s = np.linalg.svd(now.numpy(), compute_uv=False)
        p = s / s.sum()
        row = {"effective_rank": float(np.exp(-(p * np.log(p)).sum()) / WIDTH)}
        if previous is None:
            row["convergence_rate"] = 0.0
        else:
            moved = ((now - previous) ** 2).mean(dim=1)
            row["residual"] = moved.mean().item()
            row["convergence_rate"] = (moved < run.threshold).double().mean().item()
        rows.append(row)
        if k == run.training.num_iterations - 1:
            break
        incoming = torch.cat([start[None], now[:-1]])
        cvfps, diversities = [], []
        for _ in range(run.training.num_epochs):
            order = torch.randperm(len(run.train), generator=run.minibatch_generator)
            for chosen in order.split(run.training.minibatch_size):
                new = torch.stack([network(incoming[t], run.train[t]) for t in chosen])
                if previous is None:
                    cvfp = torch.tensor(0.0, dtype=torch.float64)
                else:
                    cvfp = ((new - previous[chosen]) ** 2).mean()
                pairs = [
                    F.cosine_similarity(new[i], new[j], dim=0) ** 2
                    for i in range(len(chosen))
                    for j in range(len(chosen))
                    if i != j
                ]
                diversity = 10 * torch.stack(pairs).mean()
                if run.training.learning_rate_schedule == "cosine":
                    optimizer.param_groups[0]["lr"] = (
                        run.parameters.phase1_learning_rate
                        * (1 + math.cos(math.pi * steps / all_steps))
                        / 2
                    )
                optimizer.zero_grad()
                ((1 - w) * cvfp + w * diversity).backward()
                gradients = [p.grad for p in parameters if p.grad is not None]
                norm = math.sqrt(sum((g**2).sum().item() for g in gradients))
                for gradient in gradients:
                    gradient.mul_(min(1.0, run.training.gradient_clip / (norm + 1e-6)))
                optimizer.step()
                steps += 1
                cvfps.append(cvfp.item())
                diversities.append(diversity.item())
        row["cvfp_loss"], row["diversity_loss"] = np.mean(cvfps), np.mean(diversities)
        previous = now
    return rows, network


@pytest.mark.parametrize("rates", LEARNING_RATE_SCHEDULES)
def test_the_trainer_is_the_reference_number_for_number(make_run: MakeRun, rates: str) -> None:
    result = train(make_run(learning_rate_schedule=rates))
    rows, network = reference(make_run(learning_rate_schedule=rates))
    assert len(result.iterations) == len(rows) == 4
    for metrics, row in zip(result.iterations, rows, strict=True):
        for key, expected in row.items():
            assert getattr(metrics, key) == pytest.approx(expected, rel=1e-9, abs=1e-9), key
    run = make_run(learning_rate_schedule=rates)
    train(run)
    for ours, theirs in zip(run.network.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_the_last_iteration_is_a_pass_only(make_run: MakeRun) -> None:
    result = train(make_run())
    minibatches, epochs, trained_iterations = 3, 2, 3
    assert result.optimizer_steps == minibatches * epochs * trained_iterations
    assert [m.weight for m in result.iterations] == [0.4, 0.4, 0.4, None]
    assert result.status is Status.FINISHED


def test_a_run_stops_when_enough_tokens_converged_but_not_at_the_first_pass(
    make_run: MakeRun,
) -> None:
    generous = {"phase1_convergence_threshold": 1e6}
    result = train(make_run(parameters=generous, min_converged_ratio=0.95))
    assert (result.status, len(result.iterations)) == (Status.CONVERGED_EARLY, 2)
    assert result.audit is not None
    assert "100.0% of tokens converged in iteration 1" in result.reason


def test_a_ratio_of_0_trains_to_the_end(make_run: MakeRun) -> None:
    generous = {"phase1_convergence_threshold": 1e6}
    result = train(make_run(parameters=generous, min_converged_ratio=0.0))
    assert (result.status, len(result.iterations)) == (Status.FINISHED, 4)
    assert result.iterations[-1].convergence_rate == 1.0


def test_a_pruned_run_says_so_and_is_not_audited(make_run: MakeRun) -> None:
    asked: list[int] = []

    def prune(metrics: Any) -> bool:
        asked.append(metrics.iteration)
        return metrics.iteration == 1

    result = train_batch(make_run(), ignore, prune)
    assert (result.status, result.audit, asked) == (Status.PRUNED, None, [0, 1])


def test_a_learning_rate_that_breaks_the_net_is_an_outcome_not_an_exception(
    make_run: MakeRun,
) -> None:
    wild = {"phase1_learning_rate": 1e200}
    result = train(make_run(parameters=wild))
    assert (result.status, result.audit) == (Status.DIVERGED, None)
    assert "context of size" in result.reason or "gradient norm" in result.reason
    assert "in iteration" in result.reason


def test_a_net_that_explodes_at_once_has_no_metrics(make_run: MakeRun) -> None:
    run = make_run(parameters={"layernorm_mix": 0.0})
    with torch.no_grad():
        for layer in run.network.context_layers:
            layer.linear.weight.abs_().mul_(100)
    result = train(run)
    assert (result.status, result.last) == (Status.DIVERGED, None)
    assert result.reason.startswith("context of size")
    assert result.reason.endswith("by token 40 in iteration 0")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_same_run_gives_the_same_bits(make_run: MakeRun, dtype: torch.dtype) -> None:
    first, again = (train(make_run(dtype=dtype)) for _ in range(2))
    assert first.weights_digest == again.weights_digest
    assert first.iterations == again.iterations
    assert train(make_run(seed=1, dtype=dtype)).weights_digest != first.weights_digest


@pytest.mark.parametrize("loss", DIVERSITY_LOSSES)
def test_every_loss_trains(make_run: MakeRun, loss: str) -> None:
    result = train(make_run(loss=loss))
    assert result.status is Status.FINISHED
    assert result.iterations[0].diversity_loss is not None
    no_epochs = train(make_run(loss=loss, num_epochs=0))
    assert result.weights_digest != no_epochs.weights_digest


def test_validation_is_the_tail_of_the_training_text_or_the_held_out_text(
    make_run: MakeRun,
) -> None:
    # in float64 the kernel's last bits depend on where memory lies; trials run in float32
    tail, held_out = (train(make_run(validated=v, dtype=torch.float32)) for v in (False, True))
    assert tail.weights_digest == held_out.weights_digest
    assert tail.last is not None
    assert held_out.last is not None
    assert tail.last.validation_effective_rank != held_out.last.validation_effective_rank
    assert held_out.audit is not None
    assert held_out.audit.frozen_validation == held_out.audit.frozen_held_out


def test_the_untrained_baseline_is_the_net_before_the_first_step(make_run: MakeRun) -> None:
    result = train(make_run())
    assert result.audit is not None
    assert result.audit.baseline.effective_rank == result.iterations[0].effective_rank


def test_events_tell_each_phase_to_its_end(make_run: MakeRun) -> None:
    events: list[Event] = []
    result = train(make_run(), events.append)
    finished = [e.metrics.iteration for e in events if isinstance(e, IterationFinished)]
    assert finished == [m.iteration for m in result.iterations]
    progress = [e for e in events if isinstance(e, Progress)]
    assert {e.phase for e in progress} == set(Phase) - {Phase.PROBE}  # nobody asked for one
    assert all(0 < e.done <= e.total for e in progress)
    ends = {(e.iteration, e.phase): e for e in progress}
    assert all(e.done == e.total for e in ends.values())


def test_what_an_observer_raises_passes_through(make_run: MakeRun) -> None:
    def stop(event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(make_run(), stop)


def test_a_trained_net_converges_more_than_an_untrained_one(make_run: MakeRun) -> None:
    gentle = {"dist_reg_weight": 0.1, "phase1_learning_rate": 0.02}
    result = train(make_run(parameters=gentle, num_iterations=12, num_epochs=6))
    assert result.last is not None
    first, last = result.iterations[1].residual, result.last.residual
    assert first is not None
    assert last is not None
    assert last < 0.5 * first


@pytest.mark.parametrize("kind", WEIGHT_SCHEDULES)
def test_the_realised_weights_are_recorded(make_run: MakeRun, kind: str) -> None:
    run = make_run(num_iterations=7, schedule=kind)
    weights = [m.weight for m in train(run).iterations]
    assert weights[-1] is None
    expected = {"constant": [0.4] * 6, "staged": [0.8, 0.8, 0.5, 0.5, 0.2, 0.2]}
    if kind in expected:
        assert weights[:-1] == expected[kind]
    assert all(w is not None and 0 <= w <= 1 for w in weights[:-1])


def test_no_epochs_leave_the_untrained_network(make_run: MakeRun) -> None:
    run = make_run(num_epochs=0)
    before = weights_digest(run.network)
    result = train(run)
    assert (result.optimizer_steps, result.weights_digest) == (0, before)
    assert result.reason.startswith("0 optimizer steps: this is the untrained network")


def test_the_learning_rate_falls_in_equal_steps(make_run: MakeRun) -> None:
    result = train(make_run(learning_rate_schedule="linear", num_iterations=5))
    rates = [m.learning_rate for m in result.iterations]
    assert rates == [pytest.approx(0.01), 0.0075, 0.005, 0.0025, None]


def test_a_scaled_loss_is_trained_with_and_its_scale_recorded(make_run: MakeRun) -> None:
    plain, scaled = train(make_run()), train(make_run(scale="untrained"))
    assert plain.diversity_scale == 1.0
    assert scaled.diversity_scale not in (0.0, 1.0)
    first, scaled_first = plain.iterations[0], scaled.iterations[0]
    assert first.diversity_loss is not None
    # the first minibatch sees equal weights; what follows differs a little
    expected = scaled.diversity_scale * first.diversity_loss
    assert scaled_first.diversity_loss == pytest.approx(expected, rel=0.3)


def test_the_audit_compares_held_out_text_between_the_weights_of_the_last_two_passes(
    make_run: MakeRun,
) -> None:
    result = train(make_run(validated=True, parameters={"phase1_convergence_threshold": 0.1}))
    assert result.audit is not None
    assert result.last is not None
    # with held-out validation the loop reads the same text with the same weights itself; the
    # audit starts it from the training text's last context, so a few first tokens may differ
    between = result.audit.training_held_out
    assert between.absolute == pytest.approx(result.last.validation_convergence_rate, abs=0.31)
    assert result.audit.training_validation.absolute == result.last.validation_convergence_rate


@pytest.mark.parametrize("validated", [True, False])
@pytest.mark.parametrize("split", FROZEN_SPLITS)
def test_frozen_reads_are_scored_and_the_untrained_net_is_scored_alike(
    make_run: MakeRun, split: str, validated: bool
) -> None:
    objective = ObjectiveConfig(convergence="frozen", threshold=0.1, split=split)
    run = make_run(objective=objective, validated=validated)
    untrained = make_run(validated=validated).network
    result = train(run)
    assert result.audit is not None
    frozen = getattr(result.audit, f"frozen_{split}")
    scored = objective.scored(result)
    assert scored is not None
    assert (scored.convergence_rate, scored.effective_rank) == (
        frozen.convergence,
        frozen.effective_rank,
    )
    first = sequential_pass(untrained, run.train, zero_context(untrained))
    second = sequential_pass(untrained, run.train, first[-1])
    reads = first, second
    if validated and split != "train":  # read by each pass, from its own last context
        once = sequential_pass(untrained, run.held_out, zero_context(untrained))
        reads = once, sequential_pass(untrained, run.held_out, once[-1])
    elif split == "validation":
        reads = first[-run.num_validation :], second[-run.num_validation :]
    elif split == "held_out":
        once = sequential_pass(untrained, run.held_out, second[-1])
        reads = once, sequential_pass(untrained, run.held_out, once[-1])
    moved = ((reads[1] - reads[0]) ** 2).mean(dim=1) / (reads[1] ** 2).mean()
    rate, rank = (moved < 0.1).double().mean().item(), effective_rank(reads[1])
    assert result.audit.baseline.score == pytest.approx(0.5 * rate + 0.5 * rank)


def test_a_pass_tells_whether_its_network_forgets_where_it_is_asked(make_run: MakeRun) -> None:
    asked, untold = (
        train(replace(make_run(num_iterations=8), exponents_after=frozenset(after)))
        for after in ((2, 7), ())
    )
    known = {
        k: metrics.lyapunov_exponent
        for k, metrics in enumerate(asked.iterations)
        if metrics.lyapunov_exponent is not None
    }
    assert known.keys() == {2, 7}
    assert asked.audit is not None
    assert known[7] == pytest.approx(asked.audit.lyapunov_exponent, abs=0.1)
    assert known[2] > known[7]
    assert {metrics.lyapunov_exponent for metrics in untold.iterations} == {None}
    assert untold.weights_digest == asked.weights_digest
