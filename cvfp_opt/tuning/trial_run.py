"""One claimed trial: trained, and its end written."""

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Self

import optuna
from optuna.trial import FrozenTrial, TrialState

from cvfp_opt.errors import CvfpOptError, DefinitionError, PointError, StorageError, StudyError
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.redaction import redacted
from cvfp_opt.store.database.constraints import constraint_attributes, is_feasible
from cvfp_opt.store.database.file_watch import FileGone
from cvfp_opt.store.database.optuna_private import latest
from cvfp_opt.store.database.retry import DATABASE_ERRORS, Patience, in_words, passes
from cvfp_opt.store.queue.claims import REFUSED
from cvfp_opt.store.queue.leases import LeaseLost
from cvfp_opt.store.queue.trial_writer import TrialWriter
from cvfp_opt.store.queue.unsent import keep_unsent
from cvfp_opt.store.record.records import TrialRecord, write_attributes
from cvfp_opt.store.record.trial_attributes import StoredEnvironment
from cvfp_opt.training.result import Status
from cvfp_opt.tuning.checkpointing import Checkpointing, TrialKeeper
from cvfp_opt.tuning.drift import with_point_changes
from cvfp_opt.tuning.objective import Objective, account, constraints, values
from cvfp_opt.tuning.observer import SearchObserver
from cvfp_opt.tuning.optuna_trial import open_trial, suggest
from cvfp_opt.tuning.stopping import SearchStopped, Stop
from cvfp_opt.tuning.trial_files import TrialFiles
from cvfp_opt.tuning.trial_reports import Reporter

_STATES = {
    Status.FINISHED: TrialState.COMPLETE,
    Status.CONVERGED_EARLY: TrialState.COMPLETE,
    Status.PRUNED: TrialState.PRUNED,
    Status.DIVERGED: TrialState.FAIL,
}


@dataclass(frozen=True, kw_only=True)
class TrialRun:
    """A trial that this worker has claimed, about to be run.

    Attributes:
        study: of the trial.
        writer: of the trial.
        objective: what it is.
        environment: what it runs on.
        observer: notified of its progress.
        stop: the user's wish to stop.
        patiently: how to ask a database that may be away for a while.
        checkpoints: kept while it runs.
        files: kept when it ends.
    """

    study: optuna.Study
    writer: TrialWriter
    objective: Objective
    environment: StoredEnvironment
    observer: SearchObserver
    stop: Stop
    patiently: Patience
    checkpoints: Checkpointing
    files: TrialFiles

    def at_point(self) -> Self:
        """Take the definition of the confirmation's point that it runs; other trials stay.

        Raises:
            PointError: there can be no such point.
            CvfpOptError: its text cannot be read here.
        """
        changes = self.writer.claimed.run.get("changes")
        if not changes:
            return self
        own = self.objective
        try:
            definition, tokens, environment = with_point_changes(
                own.definition, own.tokens, self.environment, changes
            )
        except (DefinitionError, StudyError) as error:
            raise PointError(f"no point of a confirmation: {error}") from None
        objective = replace(own, definition=definition, tokens=tokens)
        return replace(self, objective=objective, environment=environment)

    def refuse(self, error: PointError) -> None:
        """Let it fail without having run."""
        trial = self.patiently(lambda: open_trial(self.study, self.writer))
        self._fail(trial, self._keeper(self._reporter(trial)), REFUSED, str(error))

    def give_back(self) -> None:
        """Let another worker run it."""
        with suppress(*DATABASE_ERRORS):  # one that is away learns it from the lease
            self.writer.give_back()

    def train(self, asking_seconds: float) -> None:
        """Train it, and write how it ended.

        Args:
            asking_seconds: that claiming it has taken.

        Raises:
            LeaseLost: another worker has it.
            SearchStopped: it was given back.
            CvfpOptError: nothing that is the trial's fault; it was given back.
        """
        writer, definition = self.writer, self.objective.definition
        trial = self.patiently(lambda: open_trial(self.study, writer))
        reporter = self._reporter(trial)
        keeper = self._keeper(reporter)
        networks: list[ContextNetwork] = []
        try:
            params = self.patiently(lambda: suggest(trial, writer, definition))
            self.observer.trial_started(writer.claimed.number, params)
            result = self.objective(
                params,
                writer.claimed.identity.number,
                reporter.observe,
                reporter.should_prune,
                keeper,
                seed=writer.claimed.identity.seed,
                trained=networks.append,
            )
            scored = definition.objective.scored(result)
            bookkeeping = asking_seconds + reporter.seconds
            write_attributes(trial, **account(result, scored, self._ran_on(), bookkeeping))
            against = constraints(definition, scored, result) if scored else {}
            writer.pending.system_attrs.update(constraint_attributes(against))
        except (SearchStopped, KeyboardInterrupt):
            self.give_back()
            raise
        except LeaseLost:
            raise
        except PointError as error:  # another program wrote it: the next trial may be right
            self._fail(trial, keeper, REFUSED, str(error))
        except (CvfpOptError, *DATABASE_ERRORS):  # nothing wrong with the trial
            self.give_back()
            raise
        except Exception as error:
            self._fail(trial, keeper, "error", redacted(f"{type(error).__name__}: {error}"))
        else:
            state, kept = _STATES[result.status], False
            if state is TrialState.COMPLETE and scored and not writer.claimed.run and networks:
                kept = self._keep_network(
                    networks[0],
                    params,
                    result.weights_digest,
                    scored.score,
                    feasible=is_feasible(against),
                )
            worth = values(definition, scored, result) if scored else None
            self._finish(trial, keeper, state, worth)
            if kept:
                self.files.thin()

    def _reporter(self, trial: optuna.Trial) -> Reporter:
        definition = self.objective.definition
        return Reporter(trial, self.writer, definition, self.observer, self.stop)

    def _keeper(self, reporter: Reporter) -> TrialKeeper:
        claimed = self.writer.claimed
        return TrialKeeper(
            checkpoints=self.checkpoints,
            trial=claimed.identity.uuid,
            definition=self.objective.definition,
            tokens=self.objective.tokens,
            environment=self.environment,
            register=reporter.register,
            notify=lambda text: self.observer.notice(f"trial {claimed.number}: {text}"),
        )

    def _ran_on(self) -> StoredEnvironment:
        """Describe what the trial ran on, and who ran it."""
        worker = self.writer.claims.worker.worker
        deaths = self.writer.claimed.attempts
        return self.environment | {"worker": worker, "deaths": deaths, "finished": time.time()}

    def _fail(self, trial: optuna.Trial, keeper: TrialKeeper, status: str, reason: str) -> None:
        write_attributes(trial, status=status, reason=reason, environment=self._ran_on())
        self._finish(trial, keeper, TrialState.FAIL, None)

    def _finish(
        self,
        trial: optuna.Trial,
        keeper: TrialKeeper,
        state: TrialState,
        values: list[float] | None,
    ) -> None:
        """Write the end of a trial: to the database, or if that stays away to a file."""
        frozen = latest(trial)
        if state is TrialState.PRUNED and frozen.last_step is not None:
            values = [frozen.intermediate_values[frozen.last_step]]  # as Optuna's ``tell`` does
        self.study.sampler.after_trial(self.study, frozen, state, values)
        self._keep_curves(frozen)
        try:
            self.patiently(lambda: self.writer.finish(state, values, keeper.attributes))
        except DATABASE_ERRORS as error:
            raise self._unsent(state, values, keeper, error) from error
        keeper.remove()

    def _unsent(
        self,
        state: TrialState,
        values: list[float] | None,
        keeper: TrialKeeper,
        error: Exception,
    ) -> StorageError:
        """Keep a result that the database did not take, and give the error that says so."""
        number, where = self.writer.claimed.number, self.writer.claims.store.location.where
        why = f"{where}: the database did not answer for {self.patiently.seconds:.0f} s"
        if not passes(error):
            why = str(error) if isinstance(error, FileGone) else f"{where}: {in_words(error)}"
        try:
            path = keep_unsent(self.writer, state, values, keeper.attributes)
        except StorageError as refusal:
            return StorageError(f"{why}. The result of trial {number} is lost: {refusal}")
        if isinstance(error, FileGone):
            return FileGone(f"{why}; the result of trial {number}, in {path}, is written there")
        return StorageError(
            f"{why}. The result of trial {number} is in {path}: the same command, typed here when "
            "the database is back, writes it there first"
        )

    def _keep_curves(self, frozen: FrozenTrial) -> None:
        """Keep them before the trial ends: dashboards that have seen its end don't look again."""
        pending = self.writer.pending
        record = TrialRecord(
            number=self.writer.claimed.number,
            state="running",
            iterations=pending.user_attrs.get("iterations")
            or frozen.user_attrs.get("iterations", []),
        )
        pending.system_attrs.update(
            self.files.keep_curves(self.writer.claimed.identity.uuid, record)
        )

    def _keep_network(
        self,
        network: ContextNetwork,
        params: dict[str, Any],
        digest: str,
        score: float,
        *,
        feasible: bool,
    ) -> bool:
        """Keep it if it is among the best; return whether it was."""
        identity = self.writer.claimed.identity
        values = {
            "trial": identity.to_dict(),
            "definition": self.objective.definition.at(params).to_dict(),
            "weights_digest": digest,
        }
        attributes = self.files.keep_network(
            identity.uuid, score, network, values, feasible=feasible
        )
        self.writer.pending.system_attrs.update(attributes)
        return bool(attributes)
