"""What a worker is to do, the same in this process and in another one."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import optuna
import torch

from cvfp_opt.errors import DeviceError
from cvfp_opt.report.dashboard.curves import files_of
from cvfp_opt.report.dashboard.page import keep_current
from cvfp_opt.search.custom_code import compare_code, load_code
from cvfp_opt.search.drift import drift_lines, marked
from cvfp_opt.search.lanes import search_in_lanes
from cvfp_opt.search.objective import Objective
from cvfp_opt.search.observer import SearchObserver
from cvfp_opt.search.plan import Plan
from cvfp_opt.search.runner import Search
from cvfp_opt.search.stopping import Stop, pause
from cvfp_opt.search.trial_checkpoints import CHECKPOINT_SECONDS
from cvfp_opt.search.trial_reports import Checkpointing
from cvfp_opt.search.views import Views
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.retry import PATIENCE_SECONDS, Patience
from cvfp_opt.store.database.storage import Store, open_for_search
from cvfp_opt.store.files.artifact_stores import open_artifacts
from cvfp_opt.store.queue.claims import MAX_RETRIES, Claims
from cvfp_opt.store.queue.leases import LEASE_SECONDS
from cvfp_opt.store.queue.trial_writer import Renewer
from cvfp_opt.store.record.records import StudyRecord
from cvfp_opt.training.device import resolve_device, set_threads


@dataclass(frozen=True, kw_only=True)
class Endurance:
    """What a search puts up with. No part of the study: workers of one study may differ.

    Attributes:
        lease_seconds: after so long without a sign of life a worker's trial goes to another one.
        patience_seconds: so long a database that is away is waited for.
        max_retries: so often a trial is taken over from workers that died; then it counts as lost.
        checkpoint_seconds: between two checkpoints of a trial; 0 for one after each iteration.
        artifacts: where checkpoints lie; None for the usual place.
    """

    lease_seconds: float = LEASE_SECONDS
    patience_seconds: float = PATIENCE_SECONDS
    max_retries: int = MAX_RETRIES
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    artifacts: str | None = None


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
        lanes: trials at once, see search.lanes.
        endurance: what it puts up with.
    """

    location: Location
    plan: Plan
    environment: dict[str, Any]
    total: int
    deadline: float | None = None
    lanes: int = 1
    endurance: Endurance = Endurance()

    def join(self, observer: SearchObserver, stop: Stop, *, elsewhere: bool = False) -> None:
        """Search as a worker that may start hours after the study was entered.

        Args:
            observer, stop: see ``Search``.
            elsewhere: the environment is another one than that which entered the study.

        Raises:
            StudyError: code that the study names has changed since.
        """
        plan, environment = self.plan, self.environment
        compare_code(plan.name, plan.code, load_code(plan.definition))
        with open_for_search(self.location, self.patience(observer, stop)) as store:
            study = store.patiently(lambda: plan.load(store))
            if elsewhere:
                differences = store.patiently(lambda: plan.drift(study, environment))
                for line in drift_lines(differences):
                    observer.notice(f"{environment['host']}: {line}")
                environment = marked(environment, differences, plan.definition, plan.tokens)
            replace(self, environment=environment).search(store, study, observer, stop)

    def search(
        self,
        store: Store,
        study: optuna.Study,
        observer: SearchObserver,
        stop: Stop,
        objective: Objective | None = None,
    ) -> None:
        """Run trials until the total or the deadline is reached; see ``Search.run``.

        Args:
            objective: in the place of the plan's.
        """
        objective = objective or Objective(
            definition=self.plan.definition,
            tokens=self.plan.tokens,
            device=resolve_device(self.environment["device"]),
        )
        claims = self.patience(observer, stop)(lambda: self.claims(store, study))
        claims.notify = observer.notice
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
                patience=self.endurance.patience_seconds,
                checkpoints=Checkpointing(
                    artifacts=open_artifacts(self.location, self.endurance.artifacts),
                    code=self.plan.code,
                    environment=self.environment,
                    every=self.endurance.checkpoint_seconds,
                ),
                views=Views(draw_curves=files_of, keep_page=keep_current),
            )
            search_in_lanes(search, self.lanes, self.total, self.deadline)

    def patience(self, observer: SearchObserver, stop: Stop) -> Patience:
        """How to ask a database that may be away for a while."""
        return Patience(
            seconds=self.endurance.patience_seconds,
            notify=observer.notice,
            pause=partial(pause, stop),
        )

    def claims(self, store: Store, study: optuna.Study) -> Claims:
        """A new worker's hand on the study."""
        record = StudyRecord.of(study)
        return Claims(
            store=store,
            identity=record.identity if record else "",
            study=study,
            seed=self.plan.definition.search.seed,
            seconds=self.endurance.lease_seconds,
            max_retries=self.endurance.max_retries,
        )


# Beyond, a new user's machine would be full of processes, half a gigabyte each.
MAX_DEFAULT_JOBS = 4


def default_jobs(device: torch.device, threads: int) -> int:
    """As many processes as threads, up to MAX_DEFAULT_JOBS; one on a GPU.

    Passes use one thread, and training gains less from a second one than a second trial does:
    docs/performance.md.
    """
    return 1 if device.type != "cpu" else max(1, min(threads, MAX_DEFAULT_JOBS))


def threads_each(threads: int, n_jobs: int) -> int:
    """Threads for each of ``n_jobs`` processes that share ``threads``; at least one.

    Raises:
        DeviceError: fewer than one process.
    """
    if n_jobs < 1:
        raise DeviceError(f"--n-jobs: at least 1 is required, got {n_jobs}")
    return max(1, threads // n_jobs)


def share_out(
    device: torch.device, n_jobs: int | None, threads: int | None, *, lanes: int, remote: bool
) -> tuple[int | None, int | None]:
    """Workers at once, and threads of torch for each, which on this machine are set here.

    Args:
        device: of this machine.
        n_jobs, threads: as typed.
        lanes: trials at once in each worker.
        remote: whether the workers are a Dask cluster's; then None stays, for the cluster to say.

    Raises:
        DeviceError: fewer than one of either.
    """
    available = set_threads(threads)
    if n_jobs is None and not remote:
        n_jobs = 1 if lanes > 1 else default_jobs(device, available)
    each = threads_each(available, 1 if n_jobs is None else n_jobs)
    return (n_jobs, threads) if remote else (n_jobs, set_threads(each))
