"""Workers as the user asked for them, made ready, and given a study to search."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import optuna

from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.queue.unleased import unleased_lines
from cvfp_opt.store.record.trial_attributes import StoredEnvironment
from cvfp_opt.training.device import available_threads
from cvfp_opt.tuning.drift import drift_lines, with_drift
from cvfp_opt.tuning.environment import describe_environment
from cvfp_opt.tuning.lanes import check_lanes
from cvfp_opt.tuning.limits import Limits
from cvfp_opt.tuning.plan import Plan
from cvfp_opt.workers.engine import Engine
from cvfp_opt.workers.engines import make_engine
from cvfp_opt.workers.shares import Workers
from cvfp_opt.workers.task import Task


@dataclass(frozen=True, kw_only=True)
class Session:
    """Workers that are ready to search.

    Attributes:
        engine: starts them.
        location: of the database.
        environment: what trials will run on.
        count: workers at once; None for as many as there is room for.
        lanes: trials at once in each.
        limits: see there.
        deadline: see Task.
    """

    engine: Engine
    location: Location
    environment: StoredEnvironment
    count: int | None
    lanes: int
    limits: Limits
    deadline: float | None

    def task(
        self, store: Store, study: optuna.Study, plan: Plan, total: int
    ) -> tuple[Task, list[str]]:
        """Give each worker's task in a study, and lines to show.

        These say what differs from the study's first worker, and which trials nobody takes over.

        Args:
            store, study: opened by this process.
            plan: entered.
            total: finished and running trials of the study, whoever runs them.
        """
        differences = store.patiently(lambda: plan.drift(study, self.environment))
        environment = with_drift(self.environment, differences, plan.definition, plan.tokens)
        task = Task(
            location=self.location,
            plan=plan,
            environment=environment,
            total=total,
            deadline=self.deadline,
            lanes=self.lanes,
            limits=self.limits,
        )
        unleased = store.patiently(lambda: unleased_lines(store, study))
        return task, [*drift_lines(differences), *unleased]


@contextmanager
def open_session(
    location: Location,
    plan: Plan,
    options: Workers,
    limits: Limits | None = None,
    deadline: float | None = None,
) -> Iterator[Session]:
    """Make workers ready, and at last leave nothing of them running.

    Args:
        location: of the database.
        plan: of the study that they search, or that a confirmation repeats points of.
        options: the workers, shared out.
        limits, deadline: see Task.

    Raises:
        CvfpOptError: they cannot be had as typed.
    """
    check_lanes(plan.definition, options.lanes, 1 if options.remote else options.n_jobs or 1)
    with closing(make_engine(options, location)) as engine:
        threads = options.threads or available_threads()
        yield Session(
            engine=engine,
            location=location,
            environment=engine.environment()
            or describe_environment(options.resolve_device(), threads),
            count=options.n_jobs,
            lanes=options.lanes,
            limits=limits or Limits(),
            deadline=deadline,
        )
