"""The loop of a search: claim a trial, run it, tell how it went."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from cvfp_opt.errors import CvfpOptError, DefinitionError, PointError, StorageError, StudyError
from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.redaction import redacted
from cvfp_opt.search.drift import changed
from cvfp_opt.search.objective import Objective
from cvfp_opt.search.observer import SearchObserver
from cvfp_opt.search.optuna_trial import open_trial, suggest
from cvfp_opt.search.start import Beginning
from cvfp_opt.search.stopping import SearchStopped, Stop, pause
from cvfp_opt.search.trial_checkpoints import TrialKeeper
from cvfp_opt.search.trial_files import Leaving
from cvfp_opt.search.trial_reports import Checkpointing, Reporter
from cvfp_opt.search.views import Views
from cvfp_opt.store.database.file_watch import FileGone
from cvfp_opt.store.database.optuna_private import latest, storage_of, study_id_of
from cvfp_opt.store.database.retry import DATABASE_ERRORS, Patience, in_words, passes
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.files.trial_files import Networks
from cvfp_opt.store.queue.claims import REFUSED, Claims, NoTrial
from cvfp_opt.store.queue.leases import LeaseLost
from cvfp_opt.store.queue.trial_writer import Renewer, TrialWriter
from cvfp_opt.store.queue.unsent import keep_unsent, send_unsent
from cvfp_opt.store.record.mirrors import Mirrors
from cvfp_opt.store.record.progress import ProgressTracker
from cvfp_opt.store.record.records import TrialRecord, write_attributes
from cvfp_opt.training.result import Status, TrainingResult

# Mirrors are for people who look; trials may be quicker than that.
MIRROR_SECONDS = 5.0
# While others run the last trials: asked again after so many seconds, and said after so many.
FIRST_WAIT, LONGEST_WAIT, TELL_AFTER = 0.05, 1.0, 10.0

_STATES = {
    Status.FINISHED: TrialState.COMPLETE,
    Status.CONVERGED_EARLY: TrialState.COMPLETE,
    Status.PRUNED: TrialState.PRUNED,
    Status.DIVERGED: TrialState.FAIL,
}


@dataclass
class _Mirroring:
    """Copies to the mirrors now and then."""

    last: float = float("-inf")

    def due(self) -> bool:
        now = time.monotonic()
        if now - self.last < MIRROR_SECONDS:
            return False
        self.last = now
        return True


@dataclass(frozen=True, kw_only=True)
class Search:
    """A study being searched by this process.

    Attributes:
        store, study: where the trials are.
        objective: what a trial is.
        environment: what it runs on.
        observer: who is told.
        stop: the user's wish to stop.
        claims: what this process takes trials by.
        renewer: what keeps them.
        patience: seconds to wait for a database that is away.
        checkpoints: of trials, while they run.
        views: of the study, for those who look at it.
    """

    store: Store
    study: optuna.Study
    objective: Objective
    environment: dict[str, Any]
    observer: SearchObserver
    stop: Stop
    claims: Claims
    renewer: Renewer
    patience: float
    checkpoints: Checkpointing
    views: Views
    mirroring: _Mirroring = field(default_factory=_Mirroring)

    def run(
        self,
        num_trials: int,
        deadline: float | None = None,
        beginning: Beginning | None = None,
    ) -> None:
        """Run trials until the study has ``num_trials`` in all (or no trial may start any more).

        When no trial is left to take but others still run some, it stays, to take over those of
        workers that die.

        Args:
            num_trials: finished and running trials of the study, whoever runs them.
            deadline: ``time.monotonic()`` after which no further trial is started.
            beginning: of the search, where others run trials of it in this process.

        Raises:
            SearchStopped: the running trial was given back.
            SearchError: the first trials all raised.
            StorageError: the database stayed away; the text says what was kept, and where.
        """
        beginning = beginning or Beginning()
        if beginning.is_first():
            for line in self._patiently(lambda: list(send_unsent(self.claims))):
                self.observer.notice(line)
        self._patiently(self._mirrors.sync)  # what a killed worker left undone
        waited = 0.0
        while deadline is None or time.monotonic() < deadline:
            self.stop.check()
            started = time.perf_counter()
            claimed = self._patiently(lambda: self.claims.claim(num_trials))
            if claimed is NoTrial.DONE:
                break
            if claimed is NoTrial.WAIT:
                waited = self._wait(waited)
                continue
            assert not isinstance(claimed, NoTrial)
            waited = 0.0
            writer = TrialWriter(claims=self.claims, claimed=claimed)
            record = self._run_trial(writer, time.perf_counter() - started)
            if record is not None:
                beginning.note(record)
        self._mirror(last=True)

    def _wait(self, waited: float) -> float:
        """Leave the others some time; the seconds waited in all."""
        pause = min(max(FIRST_WAIT, waited), LONGEST_WAIT)
        if waited < TELL_AFTER <= waited + pause:
            self.observer.notice(
                "all trials are taken; waiting for those that other workers run, to take over any "
                "that is left"
            )
        self._pause(pause)
        return waited + pause

    def _run_trial(self, writer: TrialWriter, asking_seconds: float) -> TrialRecord | None:
        """Run what is held; None if somebody else took it meanwhile."""
        number = writer.claimed.number
        self.renewer.add(writer)
        try:
            at, wrong = self._entered(writer)
            at._train(writer, asking_seconds, wrong)
        except LeaseLost:
            self.observer.notice(f"trial {number} is another worker's now: it is dropped here")
            self.observer.trial_dropped(number)
            return None
        finally:
            self.renewer.remove(writer)
            writer.drop()
        if self.mirroring.due():
            self._mirror()
        progress = self._patiently(self._tracker.progress)
        read = storage_of(self.study).get_trial
        record = TrialRecord.of(self._patiently(lambda: read(writer.claimed.trial_id)))
        self.observer.trial_finished(record, progress)
        return record

    def _entered(self, writer: TrialWriter) -> tuple["Search", PointError | None]:
        """This search at a trial's arm; or itself, and why there is no such arm."""
        try:
            return self._at(writer.claimed.run), None
        except (DefinitionError, StudyError) as error:  # another program wrote it
            return self, PointError(f"no arm of a confirmation: {error}")
        except CvfpOptError:  # its text cannot be read here
            self._give_back(writer)
            raise

    def _at(self, point: Mapping[str, Any]) -> "Search":
        """This search by the definition of an arm of a confirmation; itself for other trials."""
        changes = point.get("changes")
        if not changes:
            return self
        definition, tokens, environment = changed(
            self.objective.definition, self.objective.tokens, self.environment, changes
        )
        objective = replace(self.objective, definition=definition, tokens=tokens)
        return replace(self, objective=objective, environment=environment)

    def _train(self, writer: TrialWriter, asking_seconds: float, wrong: PointError | None) -> None:
        identity = writer.claimed.identity
        trial = self._patiently(lambda: open_trial(self.study, writer))
        definition = self.objective.definition
        reporter = Reporter(trial, writer, definition, self.observer, self.stop)
        keeper = self.checkpoints.keeper(writer, self.objective, reporter.register, self.observer)
        networks: list[ContextNetwork] = []
        try:
            if wrong is not None:
                raise wrong
            params = self._patiently(lambda: suggest(trial, writer, definition))
            self.observer.trial_started(writer.claimed.number, params)
            result = self.objective(
                params,
                identity.number,
                reporter.observe,
                reporter.should_prune,
                keeper,
                seed=identity.seed,
                trained=networks.append,
            )
            self._write(trial, writer, result, asking_seconds + reporter.seconds)
        except (SearchStopped, KeyboardInterrupt):
            self._give_back(writer)
            raise
        except LeaseLost:
            raise
        except PointError as error:  # another program wrote it: the next trial may be right
            told = self._told(writer)
            write_attributes(trial, status=REFUSED, reason=str(error), environment=told)
            self._finish(trial, writer, keeper, TrialState.FAIL, None)
        except (CvfpOptError, *DATABASE_ERRORS):  # nothing wrong with the trial
            self._give_back(writer)
            raise
        except Exception as error:
            reason = redacted(f"{type(error).__name__}: {error}")
            write_attributes(trial, status="error", reason=reason, environment=self._told(writer))
            self._finish(trial, writer, keeper, TrialState.FAIL, None)
        else:
            state, left = _STATES[result.status], False
            wanted = (
                state is TrialState.COMPLETE and not writer.claimed.run
            )  # a confirmation: figures
            if wanted and networks:
                left = self._leave_network(writer, networks[0], params, result)
            self._finish(trial, writer, keeper, state, self._values(result))
            if left:
                self._leaving.thin(self._networks)

    def _finish(
        self,
        trial: optuna.Trial,
        writer: TrialWriter,
        keeper: TrialKeeper,
        state: TrialState,
        values: list[float] | None,
    ) -> None:
        """Write the end of a trial: to the database, or if that stays away to a file."""
        frozen = latest(trial)
        if state is TrialState.PRUNED and frozen.last_step is not None:
            values = [frozen.intermediate_values[frozen.last_step]]  # as Optuna's ``tell`` does
        self.study.sampler.after_trial(self.study, frozen, state, values)
        self._leave_curves(writer, frozen)
        try:
            self._patiently(lambda: writer.finish(state, values, keeper.attributes))
        except DATABASE_ERRORS as error:
            raise self._kept(writer, state, values, keeper, error) from error
        keeper.remove()

    def _kept(
        self,
        writer: TrialWriter,
        state: TrialState,
        values: list[float] | None,
        keeper: TrialKeeper,
        error: Exception,
    ) -> StorageError:
        """Keep a result that the database can't be told; what is to be said of it."""
        number, where = writer.claimed.number, self.store.location.where
        why = f"{where}: the database did not answer for {self.patience:.0f} s"
        if not passes(error):
            why = str(error) if isinstance(error, FileGone) else f"{where}: {in_words(error)}"
        try:
            path = keep_unsent(writer, state, values, keeper.attributes)
        except StorageError as refusal:
            return StorageError(f"{why}. The result of trial {number} is lost: {refusal}")
        if isinstance(error, FileGone):
            return FileGone(f"{why}; the result of trial {number}, in {path}, is written there")
        return StorageError(
            f"{why}. The result of trial {number} is in {path}: the same command, typed here when "
            "the database is back, writes it there first"
        )

    def _leave_curves(self, writer: TrialWriter, frozen: FrozenTrial) -> None:
        """Before the trial ends: afterwards dashboards that have seen it don't look again."""
        record = TrialRecord(
            number=writer.claimed.number,
            state="running",
            iterations=writer.pending.user_attrs.get("iterations")
            or frozen.user_attrs.get("iterations", []),
        )
        writer.pending.system_attrs.update(
            self._leaving.curves(writer.claimed.identity.uuid, record)
        )

    def _leave_network(
        self,
        writer: TrialWriter,
        network: ContextNetwork,
        params: Mapping[str, Any],
        result: TrainingResult,
    ) -> bool:
        """Whether it is among the best, and kept."""
        scored = self.objective.definition.objective.scored(result)
        if scored is None:
            return False
        identity = writer.claimed.identity
        values = {
            "trial": identity.to_dict(),
            "definition": self.objective.definition.at(params).to_dict(),
            "weights_digest": result.weights_digest,
        }
        named = self._leaving.network(self._networks, identity.uuid, scored.score, network, values)
        writer.pending.system_attrs.update(named)
        return bool(named)

    def _give_back(self, writer: TrialWriter) -> None:
        # a database that is away learns it from the lease
        with suppress(*DATABASE_ERRORS):
            writer.give_back()

    def _values(self, result: TrainingResult) -> list[float] | None:
        """What the study is told: the score, or both objectives."""
        objective = self.objective.definition.objective
        scored = objective.scored(result)
        if scored is None:
            return None
        if objective.kind == "pareto":
            return [scored.convergence_rate, scored.effective_rank]
        return [scored.score]

    def _write(
        self, trial: optuna.Trial, writer: TrialWriter, result: TrainingResult, bookkeeping: float
    ) -> None:
        plain = result.to_dict()
        scored = self.objective.definition.objective.scored(result)
        write_attributes(
            trial,
            status=plain["status"],
            reason=plain["reason"],
            scored=asdict(scored) if scored else {},
            metrics=asdict(result.last) if result.last else {},
            iterations=plain["iterations"],
            audit=plain["audit"] or {},
            seconds=plain["seconds"] | {"bookkeeping": bookkeeping},
            environment=self._told(writer)
            | {
                "optimizer_steps": result.optimizer_steps,
                "diversity_scale": result.diversity_scale,
                "weights_digest": result.weights_digest,
            },
        )

    def _told(self, writer: TrialWriter) -> dict[str, Any]:
        """What the trial ran on."""
        worker = {"worker": self.claims.worker.worker, "deaths": writer.claimed.attempts}
        return self.environment | worker | {"finished": time.time()}

    def _mirror(self, *, last: bool = False) -> None:
        """Bring up to date what others look at."""
        self._patiently(self._mirrors.sync)
        with suppress(*DATABASE_ERRORS):  # a page is worth neither waiting nor an end
            self.views.keep_page(self.store, self.study, last=last)

    @cached_property
    def _leaving(self) -> Leaving:
        return Leaving(
            artifacts=self.checkpoints.artifacts,
            draw=self.views.draw_curves,
            notify=self.observer.notice,
        )

    @cached_property
    def _networks(self) -> Networks:
        return Networks(
            store=self.store,
            artifacts=self.checkpoints.artifacts,
            study_id=study_id_of(self.study),
        )

    @cached_property
    def _tracker(self) -> ProgressTracker:
        return ProgressTracker(self.study)

    @cached_property
    def _mirrors(self) -> Mirrors:
        return Mirrors(self.store, self.study)

    @property
    def _patiently(self) -> Patience:
        return Patience(seconds=self.patience, notify=self.observer.notice, pause=self._pause)

    def _pause(self, seconds: float) -> None:
        pause(self.stop, seconds)
