"""Trials of studies that stock Optuna runs: trained and recorded as those of a search are."""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Self

import optuna
import torch

from cvfp_opt.errors import PointError
from cvfp_opt.redaction import redacted
from cvfp_opt.store.database.optuna_private import latest, storage_of, trial_id_of
from cvfp_opt.store.database.retry import DATABASE_ERRORS
from cvfp_opt.store.queue.claims import REFUSED
from cvfp_opt.store.queue.leases import Worker
from cvfp_opt.store.record.identity import IDENTITY_KEY, TrialIdentity
from cvfp_opt.store.record.point_checks import unfit
from cvfp_opt.store.record.records import FIXED_PARAMS, write_attributes
from cvfp_opt.store.record.trial_attributes import StoredEnvironment
from cvfp_opt.training.device import load_linear_algebra, resolve_device, set_threads
from cvfp_opt.training.events import Event, IterationFinished
from cvfp_opt.training.result import IterationMetrics, Status, TrainingResult
from cvfp_opt.tuning.custom_code import load_code
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.environment import describe_environment
from cvfp_opt.tuning.objective import Objective, account, constraints, values
from cvfp_opt.tuning.optuna_trial import draw
from cvfp_opt.tuning.sampler_pruner import falls_behind
from cvfp_opt.tuning.stock_study import join_study


@dataclass(frozen=True, kw_only=True)
class StockTrials:
    """What all trials of an objective share.

    Attributes:
        name: of the definition.
        objective: trains a trial.
        code: digests of the user's own functions, see tuning.custom_code.
        threads: of torch.
        environment: what trials run on.
        worker: an id of its own, as each worker of a search has one.
    """

    name: str
    objective: Objective
    code: Mapping[str, str]
    threads: int
    environment: StoredEnvironment
    worker: str

    @classmethod
    def prepare(
        cls, definition: StudyDefinition, name: str, device: str, threads: int | None
    ) -> Self:
        """Read the text and make torch ready; see ``StockObjective``."""
        place = resolve_device(device)
        count = set_threads(torch.get_num_threads() if threads is None else threads)
        load_linear_algebra(place)
        code = load_code(definition)
        return cls(
            name=name,
            objective=Objective(
                definition=definition, tokens=definition.load_tokens(), device=place
            ),
            code=code,
            threads=count,
            environment=describe_environment(place, count),
            worker=Worker.of_this_process().worker,
        )

    def run(self, trial: optuna.Trial) -> float | tuple[float, ...]:
        """Train a trial and record it; see ``StockObjective.__call__``."""
        set_threads(self.threads)  # torch counts them for each thread that computes
        definition = self.objective.definition
        reports = _Reports(trial=trial, definition=definition)
        try:
            join_study(
                trial, self.name, definition, self.objective.tokens, self.code, self.environment
            )
            params, identity = self._begin(trial)
            result = self.objective(
                params,
                identity.number,
                reports.observe,
                reports.should_prune,
                seed=identity.seed,
            )
        except PointError as error:  # whoever enqueued it asked for it: the next may be right
            self._fail(trial, REFUSED, str(error))
            return self._value(None)
        except KeyboardInterrupt:
            self._fail(trial, "failed by hand", "stopped by ^C")
            raise
        except Exception as error:
            with suppress(*DATABASE_ERRORS):  # one that is away is the error that is raised
                self._fail(trial, "error", redacted(f"{type(error).__name__}: {error}"))
            raise
        return self._end(trial, result, reports.seconds)

    def _begin(self, trial: optuna.Trial) -> tuple[dict[str, Any], TrialIdentity]:
        """Give a trial its identity and its parameters."""
        frozen = latest(trial)
        attributes = frozen.system_attrs
        if reason := unfit(attributes):
            raise PointError(reason)
        seed = self.objective.definition.search.seed
        identity = TrialIdentity.read(attributes.get(IDENTITY_KEY))
        if identity is None:
            identity = TrialIdentity.new(seed=seed, number=trial.number)
            written: Any = identity.to_dict()
            storage = storage_of(trial.study)
            storage.set_trial_system_attr(trial_id_of(trial), IDENTITY_KEY, written)
        fixed = attributes.get(FIXED_PARAMS, {})
        own = not fixed and not frozen.params
        return draw(trial, fixed, self.objective.definition, own=own), identity

    def _end(
        self, trial: optuna.Trial, result: TrainingResult, bookkeeping: float
    ) -> float | tuple[float, ...]:
        """Record how a trial ended, and tell Optuna."""
        definition = self.objective.definition
        scored = definition.objective.scored(result)
        write_attributes(trial, **account(result, scored, self._ran_on(), bookkeeping))
        if result.status is Status.PRUNED:
            raise optuna.TrialPruned(result.reason)
        if scored:
            for name, value in constraints(definition, scored, result).items():
                trial.set_constraint(name, value)
        return self._value(values(definition, scored, result) if scored else None)

    def _value(self, found: list[float] | None) -> float | tuple[float, ...]:
        """Give what Optuna takes for a trial's worth.

        NaN lets a trial fail and the study go on (Optuna's FAQ says so); an exception would end
        ``optimize``, unless the user knew which one to name in ``catch``.
        """
        wanted = self.objective.definition.objective.num_objectives
        given = [math.nan] * wanted if found is None else found
        return given[0] if wanted == 1 else tuple(given)

    def _fail(self, trial: optuna.Trial, status: str, reason: str) -> None:
        write_attributes(trial, status=status, reason=reason, environment=self._ran_on())

    def _ran_on(self) -> StoredEnvironment:
        return self.environment | {"worker": self.worker, "deaths": 0, "finished": time.time()}


@dataclass(kw_only=True)
class _Reports:
    """What a trial reports while it is trained.

    Attributes:
        trial: of the study.
        definition: of the objective.
        seconds: spent on that.
    """

    trial: optuna.Trial
    definition: StudyDefinition
    seconds: float = 0.0
    _iterations: list[dict[str, Any]] = field(default_factory=list)

    def observe(self, event: Event) -> None:
        """Report an iteration, for the study's pruner and for whoever looks."""
        if not isinstance(event, IterationFinished):
            return
        self._iterations.append(dict(vars(event.metrics)))
        objective = self.definition.objective
        with self._timed():
            write_attributes(self.trial, iterations=self._iterations)
            if objective.known_while_training:
                self.trial.report(objective.value(event.metrics), event.metrics.iteration)

    def should_prune(self, metrics: IterationMetrics) -> bool:
        """Ask the study's pruner, whichever it is."""
        with self._timed():
            return falls_behind(self.definition, metrics, self.trial.should_prune)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - started
