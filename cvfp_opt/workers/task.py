"""A worker's task, the same in this process and in another one."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

import optuna

from cvfp_opt.errors import StudyError
from cvfp_opt.report.dashboard.curves import files_of
from cvfp_opt.report.dashboard.page import keep_current
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.optuna_private import study_id_of
from cvfp_opt.store.database.retry import DATABASE_ERRORS, Patience
from cvfp_opt.store.database.storage import Store, open_for_editing
from cvfp_opt.store.files.artifact_stores import open_artifacts
from cvfp_opt.store.files.trial_files import Networks
from cvfp_opt.store.queue.claims import Claims
from cvfp_opt.store.queue.leases import Worker
from cvfp_opt.store.queue.trial_writer import Renewer
from cvfp_opt.store.record.differences import differences
from cvfp_opt.store.record.records import StudyRecord
from cvfp_opt.store.record.trial_attributes import StoredEnvironment
from cvfp_opt.training.device import resolve_device
from cvfp_opt.tuning.checkpointing import Checkpointing
from cvfp_opt.tuning.custom_code import load_code
from cvfp_opt.tuning.drift import drift_lines, refuse_sources, with_drift
from cvfp_opt.tuning.lanes import search_in_lanes
from cvfp_opt.tuning.limits import Limits
from cvfp_opt.tuning.objective import Objective
from cvfp_opt.tuning.observer import SearchObserver
from cvfp_opt.tuning.plan import Plan
from cvfp_opt.tuning.runner import Search
from cvfp_opt.tuning.stopping import Stop, pause
from cvfp_opt.tuning.trial_files import TrialFiles


@dataclass(frozen=True, kw_only=True)
class Stint:
    """How long a worker stays with one study.

    Attributes:
        worker: who claims its trials; None for a new worker.
        stays, looks_back, goes_on: see ``Search``.
    """

    worker: Worker | None = None
    stays: bool = True
    looks_back: bool = True
    goes_on: Callable[[], bool] = lambda: True


@dataclass(frozen=True, kw_only=True)
class Task:
    """One worker's share of a search. Can be pickled.

    Attributes:
        location: of the study's database.
        plan: already entered, so that the study exists.
        environment: what the worker runs on, with its own number of threads.
        total: finished and running trials of the study, whoever runs them.
        deadline: ``time.monotonic()``, one clock for all processes of a machine, after which no
            further trial is started; None for none.
        lanes: trials at once, see tuning.lanes.
        limits: what it puts up with.
    """

    location: Location
    plan: Plan
    environment: StoredEnvironment
    total: int
    deadline: float | None = None
    lanes: int = 1
    limits: Limits = field(default_factory=Limits)

    def join(self, observer: SearchObserver, stop: Stop, *, remote: bool = False) -> None:
        """Search as a worker that may start hours after the study was entered.

        Args:
            observer, stop: see ``Search``.
            remote: the environment is another one than that which entered the study.

        Raises:
            StudyError: code that the study names has changed since.
        """
        plan, environment = self.plan, self.environment
        changed = differences({"code": plan.code}, {"code": load_code(plan.definition)})
        refuse_sources(changed, plan.definition, subject=f"study {plan.name!r}")
        with open_for_editing(self.location, self.patience(observer, stop)) as store:
            study = store.patiently(lambda: plan.load(store))
            if remote:
                found = store.patiently(lambda: plan.drift(study, environment))
                for line in drift_lines(found):
                    observer.notice(f"{environment['host']}: {line}")
                environment = with_drift(environment, found, plan.definition, plan.tokens)
            replace(self, environment=environment).search(store, study, observer, stop)

    def search(
        self,
        store: Store,
        study: optuna.Study,
        observer: SearchObserver,
        stop: Stop,
        objective: Objective | None = None,
        stint: Stint = Stint(),
    ) -> None:
        """Run trials until the total or the deadline is reached; see ``Search.run``.

        Args:
            objective: in the place of the plan's.
            stint: how long it stays with the study.
        """
        objective = objective or self.objective()
        claims = self.patience(observer, stop)(lambda: self.claims(store, study))
        claims.worker = stint.worker or claims.worker
        claims.notify = observer.notice
        artifacts = open_artifacts(self.location, self.limits.artifacts)
        networks = Networks(store=store, artifacts=artifacts, study_id=study_id_of(study))
        with Renewer(claims.seconds) as renewer:
            search = Search(
                store=store,
                study=study,
                objective=objective,
                environment=self.environment,
                observer=observer,
                stop=stop,
                claims=claims,
                renewer=renewer,
                patience=self.limits.patience_seconds,
                checkpoints=Checkpointing(
                    artifacts=artifacts,
                    code=self.plan.code,
                    every=self.limits.checkpoint_seconds,
                ),
                files=TrialFiles(networks=networks, draw=files_of, notify=observer.notice),
                keep_page=keep_current,
                stays=stint.stays,
                looks_back=stint.looks_back,
                goes_on=stint.goes_on,
            )
            search_in_lanes(search, self.lanes, self.total, self.deadline)

    def objective(self) -> Objective:
        """Make what its trials are."""
        return Objective(
            definition=self.plan.definition,
            tokens=self.plan.tokens,
            device=resolve_device(self.environment["device"]),
        )

    def patience(self, observer: SearchObserver, stop: Stop) -> Patience:
        """Give the way to ask a database that may be away for a while."""
        return Patience(
            seconds=self.limits.patience_seconds,
            notify=observer.notice,
            pause=partial(pause, stop),
        )

    def release_dead(self, store: Store, study: optuna.Study) -> None:
        """Put the trials of dead workers back, where there is still a study to put them into.

        A database that is away learns it from the leases.
        """
        with suppress(*DATABASE_ERRORS, StudyError, KeyError):  # Optuna's for a deleted study
            self.claims(store, study).release_dead()

    def claims(self, store: Store, study: optuna.Study) -> Claims:
        """Make what a new worker claims trials of the study by."""
        record = StudyRecord.of(study)
        return Claims(
            store=store,
            identity=record.identity if record else "",
            study=study,
            seed=self.plan.definition.search.seed,
            seconds=self.limits.lease_seconds,
            max_retries=self.limits.max_retries,
        )
