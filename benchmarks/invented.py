"""Invented trials: they cost nothing and write as much as trials of the standard size."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import optuna
from sqlalchemy import Connection

from cvfp_opt.model.audit import Audit, Baseline, Convergence, FrozenText
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.store.database import rows
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.record.identity import IDENTITY_KEY, TrialIdentity
from cvfp_opt.store.record.records import ATTRIBUTES
from cvfp_opt.training.data import Tokens
from cvfp_opt.training.events import IterationFinished, Observer, ignore
from cvfp_opt.training.result import IterationMetrics, Status, TrainingResult
from cvfp_opt.training.snapshot import NOTHING, Keeper
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.objective import forget, never

ENVIRONMENT = {
    "versions": dict.fromkeys(("cvfp-opt", "python", "torch", "optuna", "numpy"), "1.23.45"),
    "host": "invented",
    "platform": "Linux-6.0-x86_64-with-glibc2.36",
    "processor": "AVX512",
    "reader": "compiled",
    "bfloat16": "native",
    "device": "cpu",
    "threads": 1,
}


def invent_iteration(
    source: np.random.Generator, iteration: int, score: float
) -> IterationMetrics:
    """Invent a pass's metrics, with as many digits as real ones have."""
    value = source.random
    return IterationMetrics(
        iteration=iteration,
        convergence_rate=value(),
        effective_rank=value(),
        score=score,
        validation_convergence_rate=value(),
        validation_effective_rank=value(),
        validation_score=value(),
        residual=value() if iteration else None,
        weight=value(),
        learning_rate=value(),
        cvfp_loss=value(),
        diversity_loss=value(),
    )


def invent_audit(source: np.random.Generator) -> Audit:
    """Invent an audit with 65 quantiles."""
    value = source.random

    def text() -> FrozenText:
        return FrozenText(
            convergence=value(),
            convergence_strict=value(),
            absolute_convergence=value(),
            effective_rank=value(),
        )

    return Audit(
        absolute_convergence=value(),
        scale_free_convergence=value(),
        training_validation=Convergence(absolute=value(), scale_free=value()),
        training_held_out=Convergence(absolute=value(), scale_free=value()),
        residual_quantiles=tuple(source.random(65).tolist()),
        mean_square=value(),
        context_norm=value(),
        global_attractor=False,
        near_zero=False,
        identity_map=False,
        baseline=Baseline(
            convergence_rate=value(),
            effective_rank=value(),
            validation_convergence_rate=value(),
            validation_effective_rank=value(),
            score=value(),
        ),
        frozen_train=text(),
        frozen_validation=text(),
        frozen_held_out=text(),
        lyapunov_exponent=-value(),
        seconds=value(),
    )


@dataclass(frozen=True)
class InventedObjective:
    """An objective that trains nothing; its score depends on the parameters.

    Attributes:
        definition: the study's definition.
        tokens: tokens of its text, which checkpoints alone look at.
        seconds: time that a trial takes.
    """

    definition: StudyDefinition
    tokens: Tokens | None = None
    seconds: float = 0.0

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
        """Report a trial iteration by iteration; one that should be pruned goes on.

        There is no network to be given to ``trained``.
        """
        keeper.load()
        source = np.random.default_rng(number)
        count = self.definition.training.num_iterations
        distance = sum((value - 0.3) ** 2 for value in params.values())
        iterations = []
        for k in range(count):
            if self.seconds:
                time.sleep(self.seconds / count)
            score = (k + 1) / count * (1.0 - distance / 4.0)
            iterations.append(invent_iteration(source, k, score))
            observe(IterationFinished(metrics=iterations[-1]))
            should_prune(iterations[-1])
        return TrainingResult(
            status=Status.FINISHED,
            reason=f"all {count} iterations read",
            iterations=tuple(iterations),
            audit=invent_audit(source),
            optimizer_steps=1000,
            diversity_scale=1.0,
            weights_digest="0" * 64,
            seconds={"pass": 0.1, "training": 0.2, "rank": 0.3, "audit": 0.4},
        )


def attributes(result: TrainingResult) -> dict[str, Any]:
    """Invent the user attributes of a trial that ended so."""
    plain = result.to_dict()
    last = plain["iterations"][-1]
    values = plain | {
        "scored": {key: last[key] for key in ("convergence_rate", "effective_rank", "score")},
        "metrics": last,
        "environment": ENVIRONMENT | {"weights_digest": result.weights_digest},
    }
    return {name: values[name] for name in ATTRIBUTES if values[name] is not None}


def fill(store: Store, study: optuna.Study, definition: StudyDefinition, count: int) -> None:
    """Add so many finished trials to a study, with points at random."""
    objective = InventedObjective(definition)
    points = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    with store.engine.begin() as connection:
        rows.lock_study(connection, study._study_id)
        for _ in range(count):
            point = points.ask()
            params = definition.space.suggest(point)
            _add(connection, study._study_id, point, objective(params, point.number))


def _add(
    connection: Connection, study_id: int, point: optuna.Trial, result: TrainingResult
) -> None:
    state, now = optuna.trial.TrialState.COMPLETE, datetime.now()
    trial_id, number = rows.insert_trial(connection, study_id, state, now, now)
    reported = rows.PendingWrites(
        params={
            name: (distribution.to_internal_repr(point.params[name]), distribution)
            for name, distribution in point.distributions.items()
        },
        intermediate={one.iteration: one.score for one in result.iterations},
        user_attrs=attributes(result),
        system_attrs={IDENTITY_KEY: TrialIdentity.new(seed=0, number=number).to_dict()},
    )
    rows.write_pending(connection, trial_id, reported)
    rows.write_values(connection, trial_id, [result.iterations[-1].score])
