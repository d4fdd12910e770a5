"""One trial: from parameters and seeds to a training result."""

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.store.record.decisions import decisive, doubts
from cvfp_opt.store.record.trial_attributes import StoredEnvironment
from cvfp_opt.training.compute import Compute, alone
from cvfp_opt.training.config import Scored
from cvfp_opt.training.data import Tokens
from cvfp_opt.training.downstream import Downstream
from cvfp_opt.training.embedding import random_embeddings
from cvfp_opt.training.events import Observer, ignore
from cvfp_opt.training.result import IterationMetrics, TrainingResult
from cvfp_opt.training.run import TrainingRun
from cvfp_opt.training.seeds import Purpose, torch_generator
from cvfp_opt.training.snapshot import NOTHING, Keeper
from cvfp_opt.training.trainers import TRAINERS
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.sampler_pruner import exponents_after


def never(metrics: IterationMetrics) -> bool:
    """Prune nothing."""
    return False


def forget(network: ContextNetwork) -> None:
    """Keep nothing of a trained network."""


def outcome(result: TrainingResult, scored: Scored | None) -> dict[str, Any]:
    """Give what a trial's record has of a training run, by the names of its attributes."""
    plain = result.to_dict()
    return {
        "status": plain["status"],
        "reason": plain["reason"],
        "scored": asdict(scored) if scored else {},
        "metrics": asdict(result.last) if result.last else {},
        "iterations": plain["iterations"],
        "audit": plain["audit"] or {},
        **({"downstream": plain["downstream"]} if result.downstream else {}),
    }


def account(
    result: TrainingResult,
    scored: Scored | None,
    ran_on: StoredEnvironment,
    bookkeeping: float,
) -> dict[str, Any]:
    """Give all attributes of a trial that was trained, by their names.

    Args:
        result, scored: what came out of training, and its worth.
        ran_on: environment and worker of the trial.
        bookkeeping: seconds spent on the study.
    """
    return {
        **outcome(result, scored),
        "seconds": result.seconds | {"bookkeeping": bookkeeping},
        "environment": ran_on
        | {
            "optimizer_steps": result.optimizer_steps,
            "diversity_scale": result.diversity_scale,
            "weights_digest": result.weights_digest,
        },
    }


def constraints(
    definition: StudyDefinition, scored: Scored, result: TrainingResult
) -> dict[str, float]:
    """Give what speaks against a trial, see store.record.decisions; nothing where any may win."""
    if definition.objective.feasible != "audit" or result.audit is None:
        return {}
    audit: Any = result.audit.to_dict()
    rate, weight = scored.convergence_rate, definition.objective.own_weight
    deciding = decisive(scored.score, audit, result.optimizer_steps)
    return deciding | doubts(audit, rate=rate, own_weight=weight)


def values(definition: StudyDefinition, scored: Scored, result: TrainingResult) -> list[float]:
    """Give a study's values of a trial: the score, or its objectives, all to be maximized."""
    if definition.objective.kind == "score":
        return [scored.score]
    found = [scored.convergence_rate, scored.effective_rank]
    if definition.objective.downstream:
        assert result.downstream is not None, "a run that was scored was probed"
        found.append(-math.log(result.downstream.held_out_perplexity))
    return found


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Trains the CVFP model at a point of the search space.

    Attributes:
        definition: of the study.
        tokens: of its text.
        device: where to compute.
        place: what a trial computes with while it is trained; alone, or as one of several lanes.
    """

    definition: StudyDefinition
    tokens: Tokens
    device: torch.device
    place: Callable[[], AbstractContextManager[Compute]] = alone

    def prepare(
        self, params: Mapping[str, Any], number: int, *, seed: int | None = None
    ) -> TrainingRun:
        """Draw network, embeddings and generators of a trial, on the CPU.

        Args:
            params: of the trial, by Optuna's names; empty where nothing is searched.
            number, seed: of its identity (store.record.identity); None for the definition's seed.

        Raises:
            DefinitionError: a parameter is missing.
        """
        definition = self.definition.at(params)
        seed = self.definition.search.seed if seed is None else seed
        parameters = definition.hyperparameters()
        weights = torch_generator(seed, number, Purpose.WEIGHTS)
        network = ContextNetwork(
            definition.model, layernorm_mix=parameters.layernorm_mix, generator=weights
        )
        table = self.embeddings(number, seed=seed)
        probed = definition.objective.downstream
        return TrainingRun(
            network=network.to(self.device),
            train=table[self.tokens.train].to(self.device),  # (T, E)
            held_out=table[self.tokens.held_out].to(self.device),  # (V, E)
            num_validation=self.tokens.num_validation,
            parameters=parameters,
            threshold=definition.threshold(params),
            training=definition.training,
            diversity=definition.diversity,
            schedule=definition.schedule,
            objective=definition.objective,
            minibatch_generator=torch_generator(seed, number, Purpose.MINIBATCHES),
            audit_generator=torch_generator(seed, number, Purpose.AUDIT),
            downstream=Downstream.of(self.tokens, seed) if probed else None,
            exponents_after=exponents_after(definition),
        )

    def embeddings(self, number: int, *, seed: int) -> Tensor:
        """Give a trial's (vocabulary, E) layer-normalised table: the text's, or drawn for it."""
        if self.tokens.table is not None:
            return self.tokens.table
        return random_embeddings(
            self.tokens.vocabulary_size,
            self.definition.model.embedding_size,
            torch_generator(seed, number, Purpose.EMBEDDINGS),
        )

    def __call__(
        self,
        params: Mapping[str, Any],
        number: int,
        observe: Observer = ignore,
        should_prune: Callable[[IterationMetrics], bool] = never,
        keeper: Keeper = NOTHING,
        *,
        seed: int | None = None,
        trained: Callable[[ContextNetwork], None] = forget,
    ) -> TrainingResult:
        """Train a trial, see ``prepare`` and ``Trainer``; same arguments give the same bits.

        Args:
            trained: given the network as training left it.
        """
        trainer = TRAINERS[self.definition.training.trainer]
        run = self.prepare(params, number, seed=seed)
        with self.place() as compute:
            result = trainer(replace(run, compute=compute), observe, should_prune, keeper)
        trained(run.network)
        return result
