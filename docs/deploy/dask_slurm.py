"""Start a Dask cluster of SLURM jobs: python slurm.py N, or --script to see what a job runs."""

import signal
import sys

from dask_jobqueue import SLURMCluster

# Settings of a site. A job's walltime ends its workers in the midst of a trial; --lifetime ends
# them some minutes before, so that their trials are given back in peace.
cluster = SLURMCluster(
    cores=32,
    processes=8,
    memory="64GB",
    walltime="08:00:00",
    queue="batch",
    scheduler_options={"port": 8786},
    job_script_prologue=["cd /shared/cvfp-opt", "source venv/bin/activate"],
    python="python",
    worker_extra_args=["--lifetime", "460m", "--lifetime-stagger", "10m"],
)

if __name__ == "__main__":
    if "--script" in sys.argv:
        print(cluster.job_script())
    else:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        cluster.scale(jobs=int(sys.argv[1]))
        print(f"cvfp-opt run --engine dask --scheduler {cluster.scheduler_address}", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})  # ^C ends the cluster
    cluster.close()
