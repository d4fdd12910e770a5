"""The engines, by name."""

from collections.abc import Callable, Mapping

from cvfp_opt.errors import ClusterError, nearest
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.record.records import count_finished
from cvfp_opt.store.record.trial_attributes import StoredEnvironment
from cvfp_opt.tuning.stopping import SearchStopped, Stop
from cvfp_opt.workers.dask.cluster import Cluster, check_installed, connect, start_local
from cvfp_opt.workers.dask.engine import DaskWorkers
from cvfp_opt.workers.engine import Engine, Job
from cvfp_opt.workers.local import LocalWorkers
from cvfp_opt.workers.shares import Workers


class Processes:
    """Worker processes on this machine; for a single worker, this process itself."""

    place = ""

    def __init__(self, options: Workers, location: Location) -> None:
        if options.scheduler is not None:
            raise ClusterError("--scheduler: --engine dask is required with it")
        self._workers: LocalWorkers | None = None

    def environment(self) -> None:
        return None

    def run(self, job: Job, stop: Stop) -> None:
        if job.count == 1:
            job.task.search(job.store, job.study, job.observer, stop)
            return
        assert job.count is not None, "of processes there is always a number"
        self._workers = LocalWorkers(job.task, job.count, job.store, job.study, job.observer)
        self._workers.run(stop)

    def stop(self) -> None:
        if self._workers is not None:
            self._workers.stop()

    def close(self) -> None:
        pass


class Dask:
    """Tasks on a Dask cluster: the user's, or one of our own for as long as we run.

    Raises:
        ClusterError: the extra is missing; the user's cannot be reached, or is not fit.
    """

    def __init__(self, options: Workers, location: Location) -> None:
        check_installed()
        self._options = options
        self._location = location
        self._cluster: Cluster | None = None
        self._workers: DaskWorkers | None = None
        self.place = "on Dask workers of this machine"
        if options.scheduler is not None:
            self._cluster = connect(options.scheduler, location)
            self.place = f"on Dask workers of {self._cluster.address}"

    def environment(self) -> StoredEnvironment | None:
        if self._cluster is None:
            return None
        return self._cluster.environment(self._options.device, self._options.threads)

    def run(self, job: Job, stop: Stop) -> None:
        finished = job.store.patiently(lambda: count_finished(job.study))
        if finished >= job.task.total:  # no cluster is needed to see that
            job.task.search(job.store, job.study, job.observer, stop)
        elif self._cluster is not None:
            self._run(self._cluster, job, stop).check_undone()
        else:
            self._run_here(job, stop).check_undone()

    def _run_here(self, job: Job, stop: Stop) -> DaskWorkers:
        assert job.count is not None, "of processes there is always a number"
        assert self._options.threads is not None, "and they divide the threads"
        self._cluster = start_local(job.count, self._options.threads, self._location)
        try:
            return self._run(self._cluster, job, stop)
        except SearchStopped:  # nothing runs any more, or was to end at once
            self._cluster.kill()
            raise
        finally:
            self._cluster.close()
            job.task.release_dead(job.store, job.study)

    def _run(self, cluster: Cluster, job: Job, stop: Stop) -> DaskWorkers:
        self._workers = DaskWorkers(cluster, job, self._options.device, self._options.threads)
        self._workers.run(stop)
        return self._workers

    def stop(self) -> None:
        if self._workers is not None:
            self._workers.stop()

    def close(self) -> None:
        if self._cluster is not None:
            self._cluster.close()


ENGINES: Mapping[str, Callable[[Workers, Location], Engine]] = {
    "processes": Processes,
    "dask": Dask,
}


def make_engine(options: Workers, location: Location) -> Engine:
    """Make the engine that the user named.

    Args:
        options: what it is to start.
        location: of the database, which all of them have to reach.

    Raises:
        ClusterError: there is none of that name, or it cannot do what was asked.
    """
    name = options.engine
    if name not in ENGINES:
        raise ClusterError(f"--engine: {nearest(name, ENGINES)}, got {name!r}")
    return ENGINES[name](options, location)
