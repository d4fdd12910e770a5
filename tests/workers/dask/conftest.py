"""The engine on a scripted cluster."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from scripted_cluster import Bench, FakeCluster, Never, Observer

from cvfp_opt.store.database.location import Location
from cvfp_opt.workers.dask import engine as dask
from cvfp_opt.workers.dask.engine import DaskWorkers
from cvfp_opt.workers.dask.members import Member
from cvfp_opt.workers.engine import Job
from cvfp_opt.workers.task import Task


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bench]:
    monkeypatch.setattr(dask, "LOOK_SECONDS", 0.01)

    def make(
        script: Callable[[FakeCluster], Iterator[list[Member]]],
        *,
        total: int = 4,
        count: int | None = None,
        threads: int | None = None,
    ) -> Bench:
        plan: Any = SimpleNamespace(name="s")
        task = Task(
            location=Location.of_file(Path("x.db")), plan=plan, environment={}, total=total
        )
        study, observer, cluster = optuna.create_study(), Observer(), FakeCluster(script)
        store: Any = None
        job = Job(task=task, count=count, store=store, study=study, observer=observer)
        workers = DaskWorkers(cluster, job, "cpu", threads)  # type: ignore[arg-type]
        return Bench(study, observer, Never(), cluster, workers)

    return make
