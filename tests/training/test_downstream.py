"""The probe of a run: that of its network by itself, and nothing of the run but more."""

import math
from dataclasses import replace

import pytest
import torch
from stock import tiny

from cvfp_opt.model import probe
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.model.passes import sequential_pass, zero_context
from cvfp_opt.model.probe import NextTokens, ProbeResult, fit_probe
from cvfp_opt.training import downstream
from cvfp_opt.training.data import Tokens
from cvfp_opt.training.events import Event, IterationFinished, Phase, Progress
from cvfp_opt.training.result import Status, TrainingResult
from cvfp_opt.training.seeds import Purpose, torch_generator
from cvfp_opt.training.trainers import TRAINERS
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.objective import Objective, never

SEED, NUMBER = 5, 3
POINT = (
    "space.dist_reg_weight=0.7",
    "space.phase1_learning_rate=0.005",
    "space.phase1_convergence_threshold=0.5",
    "space.layernorm_mix=1",
    "search.pruner=none",
    "objective.kind=pareto",
)
PROBED = "objective.downstream=true"


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "MIN_STEPS", 5)


def objective_of(definition: StudyDefinition) -> Objective:
    return Objective(
        definition=definition, tokens=definition.load_tokens(), device=torch.device("cpu")
    )


def trained(*settings: str) -> tuple[TrainingResult, ContextNetwork, Objective]:
    networks: list[ContextNetwork] = []
    objective = objective_of(tiny(*POINT, *settings))
    result = objective({}, NUMBER, seed=SEED, trained=networks.append)
    return result, networks[0], objective


def by_itself(network: ContextNetwork, tokens: Tokens, embeddings: torch.Tensor) -> ProbeResult:
    """The probe of contexts beside the embedding, written out."""
    contexts = sequential_pass(network, embeddings, zero_context(network))
    features = torch.cat([contexts, embeddings], dim=1)
    count = len(tokens.train)
    targets = NextTokens(
        train=torch.cat([tokens.train[1:], tokens.held_out[:1]]),
        held_out=tokens.held_out[1:],
        vocabulary_size=tokens.vocabulary_size,
    )
    generator = torch_generator(SEED, 0, Purpose.PROBE)
    return fit_probe(features[:count], features[count:-1], targets, generator)


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("data.validation=held_out", "objective.convergence=frozen", "objective.threshold=0.1"),
        (
            "training.trainer=online",
            "training.learning_rate_schedule=constant",
            "training.precision=float32",
            "training.training_pass=exact",
            "diversity.loss=deviation",
        ),
    ],
    ids=["batch", "frozen", "online"],
)
def test_a_run_has_the_probe_of_its_final_network(settings: tuple[str, ...]) -> None:
    # more than a minibatch of the probe, whose order so counts
    result, network, objective = trained(PROBED, "data.train_tokens=600", *settings)
    tokens = objective.tokens
    ids = torch.cat([tokens.train, tokens.held_out])
    embeddings = objective.embeddings(NUMBER, seed=SEED)[ids]
    assert result.downstream == by_itself(network, tokens, embeddings)
    assert result.seconds["probe"] > 0.0


def test_the_probe_changes_nothing_else() -> None:
    probed, _, _ = trained(PROBED)
    plain, _, _ = trained()
    assert plain.downstream is None
    assert "probe" not in plain.seconds
    assert probed.weights_digest == plain.weights_digest
    assert probed.iterations == plain.iterations
    assert probed.audit is not None
    assert plain.audit is not None
    assert replace(probed.audit, seconds=0.0) == replace(plain.audit, seconds=0.0)


def test_a_pruned_run_is_not_probed() -> None:
    objective = objective_of(tiny(*POINT, PROBED))
    result = objective({}, NUMBER, should_prune=lambda metrics: True)
    assert (result.status, result.downstream) == (Status.PRUNED, None)


class Stopped(Exception):
    """The user's wish."""


@pytest.mark.parametrize("done", ["reading", "fitting"])
def test_a_run_can_be_stopped_while_it_is_probed(done: str) -> None:
    """The last event of reading says that all is read; each step of the fit says so again."""
    seen: list[int] = []
    iterations = 0

    def observe(event: Event) -> None:
        nonlocal iterations
        iterations += isinstance(event, IterationFinished)
        if isinstance(event, Progress) and event.phase is Phase.PROBE:
            assert event.iteration == iterations - 1 == 3
            seen.append(event.done)
            if done == "reading" or seen.count(event.total) > 2:
                raise Stopped

    objective = objective_of(tiny(*POINT, PROBED))
    with pytest.raises(Stopped):
        objective({}, NUMBER, observe)
    assert len(seen) == (1 if done == "reading" else 3)


@pytest.mark.parametrize("figure", [OverflowError("math range error"), math.nan, math.inf])
def test_a_perplexity_that_is_no_number_is_an_outcome(
    figure: Exception | float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*words: object, **more: object) -> ProbeResult:
        if isinstance(figure, Exception):
            raise figure
        return ProbeResult(
            train_perplexity=9.0,
            train_accuracy=0.5,
            held_out_perplexity=figure,
            held_out_accuracy=0.5,
        )

    monkeypatch.setattr(downstream, "fit_probe", broken)
    run = objective_of(tiny(*POINT, PROBED)).prepare({}, NUMBER)
    result = TRAINERS["batch"](run, lambda event: None, never)
    assert (result.status, result.downstream) == (Status.DIVERGED, None)
    assert result.reason == (
        "the perplexity of the next-token probe is no finite number in iteration 3"
    )
    assert result.audit is None
