"""The interface of an engine: it starts and restarts the workers of a search."""

from dataclasses import dataclass
from typing import Protocol

import optuna

from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.record.trial_attributes import StoredEnvironment
from cvfp_opt.tuning.stopping import Stop
from cvfp_opt.workers.observer import EngineObserver
from cvfp_opt.workers.task import Task


@dataclass(frozen=True, kw_only=True)
class Job:
    """A search to run.

    Attributes:
        task: of each worker.
        count: workers at once; None for as many as there is room for.
        store, study: opened by this process.
        observer: notified of what all workers do.
    """

    task: Task
    count: int | None
    store: Store
    study: optuna.Study
    observer: EngineObserver


class Engine(Protocol):
    """Runs one search.

    Attributes:
        place: where, for the user; empty for this process and others like it.
    """

    place: str

    def environment(self) -> StoredEnvironment | None:
        """Describe what trials will run on, if that is not this machine, and known."""

    def run(self, job: Job, stop: Stop) -> None:
        """Search until the total is reached.

        Args:
            job: the search.
            stop: whoever notices first that the user wants to stop must call ``self.stop``.

        Raises:
            SearchStopped: the running trials were given back.
            CvfpOptError: a worker met it.
            WorkerError: a worker met a bug.
        """

    def stop(self) -> None:
        """Let every worker give its trial back. May be called from a signal handler."""

    def close(self) -> None:
        """Leave nothing running."""
