"""The original report's tests of a network: three checks on each split, with what they mean."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from cvfp_opt.model.audit import IDENTITY_COSINE, frozen_text, identity_cosine
from cvfp_opt.model.config import REFERENCE_THRESHOLD
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.model.passes import ContextOverflow, sequential_pass, zero_context
from cvfp_opt.training.events import Observer, ignore
from cvfp_opt.training.result import TrainingResult
from cvfp_opt.training.run import TrainingRun
from cvfp_opt.training.trainers import TRAINERS
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.objective import Objective, never

# A rank has to be this share of the highest that so many tokens can have, as in the report.
MIN_RANK = 0.8
MIN_CONVERGENCE = 0.5


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How much text a test reads, and how long a definition is trained first.

    Attributes:
        train_tokens: T.
        num_iterations: passes of the training run.
    """

    train_tokens: int
    num_iterations: int


PROTOCOLS = {
    "quick": Protocol(train_tokens=100, num_iterations=5),
    "standard": Protocol(train_tokens=6400, num_iterations=10),
}


@dataclass(frozen=True, kw_only=True)
class Check:
    """One check on one split.

    Attributes:
        name: what is checked.
        split: "train" or "validation".
        figure: what was measured; None where it can't be.
        shown: the figure as text.
        limit: what is required, as text.
        passed: whether the figure keeps the limit.
        meaning: what it means, in a few words.
    """

    name: str
    split: str
    figure: float | None
    shown: str
    limit: str
    passed: bool
    meaning: str


def reduced(definition: StudyDefinition, protocol: Protocol) -> StudyDefinition:
    """Reduce a definition to the protocol's amount of text and iterations."""
    return replace(
        definition,
        data=replace(definition.data, train_tokens=protocol.train_tokens),
        training=replace(
            definition.training,
            num_iterations=protocol.num_iterations,
            minibatch_size=min(definition.training.minibatch_size, protocol.train_tokens),
        ),
        search=replace(definition.search, pruner="none"),
    )


def verify_definition(
    definition: StudyDefinition, protocol: Protocol, observe: Observer = ignore
) -> tuple[list[Check], TrainingResult]:
    """Train by the definition (nothing searched), then check the network.

    Convergence is the report's: between the last two passes of training, at the threshold of the
    definition.

    Raises:
        CvfpOptError: a parameter is searched, or the text does not do.
    """
    run = _prepare(definition, protocol)
    result = TRAINERS[run.training.trainer](run, observe, never)
    if result.audit is None or result.last is None:
        meaning = f"{result.status.value}: {result.reason}"
        return [_impossible("training", "train", meaning)], result
    rates = {
        "train": result.last.convergence_rate,
        "validation": result.last.validation_convergence_rate,
    }
    texts = {
        "train": run.train,
        "validation": run.train[-run.num_validation :] if run.num_validation else run.held_out,
    }
    question = f"moved less than {run.threshold:g} in the last iteration of training"
    return check_network(run.network, texts, rates, question), result


def verify_network(
    network: ContextNetwork,
    definition: StudyDefinition,
    protocol: Protocol,
    *,
    seed: int | None = None,
    number: int = 0,
) -> list[Check]:
    """Check a network from a checkpoint: convergence is that of two reads with its weights.

    Args:
        network, definition: as they were saved.
        protocol: how much text to read.
        seed, number: of the network's identity (store.record.identity), by which its embeddings
            are drawn; None for the definition's seed.

    Raises:
        CvfpOptError: the text does not do.
    """
    run = _prepare(definition, protocol, seed, number)  # for its text and embeddings
    texts = {"train": run.train, "validation": run.held_out}
    question = f"agree between two frozen reads, scale-free at {REFERENCE_THRESHOLD:g}"
    return check_network(network, texts, {}, question)


def _prepare(
    definition: StudyDefinition, protocol: Protocol, seed: int | None = None, number: int = 0
) -> TrainingRun:
    definition = reduced(definition, protocol)
    objective = Objective(
        definition=definition, tokens=definition.load_tokens(), device=torch.device("cpu")
    )
    return objective.prepare({}, number, seed=seed)


def check_network(
    network: ContextNetwork, texts: dict[str, Tensor], rates: dict[str, float], question: str
) -> list[Check]:
    """Make the three checks on each text (T, E), read twice from the zero context on.

    Args:
        rates: convergence rates per split, where they were measured otherwise.
        question: what a converged token is.
    """
    checks: list[Check] = []
    for split, text in texts.items():
        try:
            first = sequential_pass(network, text, zero_context(network))
            second = sequential_pass(network, text, first[-1])
        except ContextOverflow as error:
            checks.append(_impossible("reading", split, str(error)))
            continue
        frozen = frozen_text(first, second)
        highest = min(text.shape[0], second.shape[1]) / second.shape[1]
        cosine = identity_cosine(second, text)
        rate = rates.get(split, frozen.convergence)
        checks += [
            Check(
                name="effective rank / D",
                split=split,
                figure=frozen.effective_rank,
                shown=f"{frozen.effective_rank:.1%}",
                limit=f">= {MIN_RANK * highest:.1%}",
                passed=frozen.effective_rank >= MIN_RANK * highest,
                meaning=f"contexts differ; {highest:.1%} is the most that this text allows",
            ),
            Check(
                name="no identity map",
                split=split,
                figure=cosine,
                shown="-" if cosine is None else f"{cosine:.3f}",
                limit=f"<= {IDENTITY_COSINE:.3f}",
                passed=cosine is None or cosine <= IDENTITY_COSINE,
                meaning="contexts are more than copies of their tokens (mean cosine)",
            ),
            Check(
                name="convergence rate",
                split=split,
                figure=rate,
                shown=f"{rate:.1%}",
                limit=f"> {MIN_CONVERGENCE:.1%}",
                passed=rate > MIN_CONVERGENCE,
                meaning=f"tokens that {question}",
            ),
        ]
    return checks


def _impossible(name: str, split: str, meaning: str) -> Check:
    """Give the failed check of something that ended before it could be measured."""
    return Check(
        name=name,
        split=split,
        figure=None,
        shown="-",
        limit="finishes",
        passed=False,
        meaning=meaning,
    )
