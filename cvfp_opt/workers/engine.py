"""What an engine is: it starts and restarts the workers of a search, and decides nothing."""

from dataclasses import dataclass
from typing import Any, Protocol

import optuna

from cvfp_opt.search.observer import SearchObserver
from cvfp_opt.search.stopping import Stop
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import Store
from cvfp_opt.workers.task import Task


class EngineObserver(SearchObserver, Protocol):
    """Told what a search and its workers do."""

    def workers_changed(self, count: int) -> None:
        """So many workers search from here on."""


@dataclass(frozen=True, kw_only=True)
class Crew:
    """The workers that the user asked for.

    Attributes:
        location: of the database, which all of them have to reach.
        device: as typed.
        threads: of torch, for each; None where that is for the engine to see.
        scheduler: address of a Dask scheduler; None for workers on this machine.
    """

    location: Location
    device: str
    threads: int | None
    scheduler: str | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """A search to run.

    Attributes:
        task: of each worker.
        count: workers at once; None for as many as there is room for.
        store, study: opened by this process.
        observer: told what all workers do.
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

    def environment(self) -> dict[str, Any] | None:
        """What trials will run on, if that is another than this process and known."""

    def run(self, job: Job, stop: Stop) -> None:
        """Search until the total is reached.

        Args:
            job: the search.
            stop: whoever learns first that the user wants to stop must call our ``stop``.

        Raises:
            SearchStopped: the running trials were given back.
            CvfpOptError: a worker met it.
            WorkerError: a worker met a bug.
        """

    def stop(self) -> None:
        """Let every worker give its trial back. May be called from a signal handler."""

    def close(self) -> None:
        """Leave nothing running."""
