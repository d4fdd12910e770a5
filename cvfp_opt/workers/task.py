"""What a worker is to do, the same in this process and in another one."""

from dataclasses import dataclass
from typing import Any

import optuna
import torch

from cvfp_opt.errors import DeviceError
from cvfp_opt.search.lanes import search_in_lanes
from cvfp_opt.search.objective import Objective
from cvfp_opt.search.plan import Plan
from cvfp_opt.search.runner import Search, SearchObserver
from cvfp_opt.search.stopping import StopRequest
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import Store
from cvfp_opt.training.device import resolve_device


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
    """

    location: Location
    plan: Plan
    environment: dict[str, Any]
    total: int
    deadline: float | None = None
    lanes: int = 1

    def search(
        self, store: Store, study: optuna.Study, observer: SearchObserver, stop: StopRequest
    ) -> None:
        """Run trials until the total or the deadline is reached; see ``Search.run``."""
        objective = Objective(
            definition=self.plan.definition,
            tokens=self.plan.tokens,
            device=resolve_device(self.environment["device"]),
        )
        search = Search(
            store=store,
            study=study,
            objective=objective,
            environment=self.environment,
            observer=observer,
            stop=stop,
        )
        search_in_lanes(search, self.lanes, self.total, self.deadline)


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
