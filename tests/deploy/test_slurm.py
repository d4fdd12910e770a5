"""Workers as jobs of a SLURM: an array, a walltime that ends, a job that queues up again."""

import os
import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from databases import fresh_database
from deploy.programs import FILES, call, free_port, program, wait_for
from deploy.slurm import Slurm, slurm
from optuna.trial import TrialState
from processes import fork_python
from running import SLOWER_ARGUMENTS, end_of
from support import TINY_ARGUMENTS, Outcome, Start

from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import open_for_reading
from cvfp_opt.store.record.studies import load_study

pytestmark = pytest.mark.processes

SMALL = ("--cpus-per-task=1", "--mem=0")
Invoke = Callable[..., Outcome]


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slurm]:
    folder = tmp_path / "shared"
    folder.mkdir()
    with slurm(folder, monkeypatch) as found:
        yield found


@pytest.fixture
def location() -> Iterator[Location]:
    """A server's database: jobs run on several nodes."""
    with fresh_database("postgresql") as found:
        yield found


def submit(invoke: Invoke, location: Location, total: int, *more: str) -> None:
    words = ("submit", "quick", *TINY_ARGUMENTS, *more, "--storage", location.url)
    outcome = invoke(*words, "--n-trials", str(total))
    assert outcome.code == 0, outcome.err


def trials(location: Location) -> list[optuna.trial.FrozenTrial]:
    with open_for_reading(location) as store:
        return load_study(store, "quick").trials


def is_running(location: Location) -> bool:
    """Whether a trial is well under way."""
    return any(
        trial.state is TrialState.RUNNING and trial.intermediate_values
        for trial in trials(location)
    )


def test_an_array_of_jobs_serves_the_queue_and_ends(
    cluster: Slurm, location: Location, invoke: Invoke
) -> None:
    submit(invoke, location, 12)
    number = cluster.sbatch(cluster.script(location.url), "--array=1-3", "--time=5", *SMALL)
    jobs = [f"{number}_{task}" for task in (1, 2, 3)]
    cluster.ended(jobs)
    logs = {job: cluster.log(job) for job in jobs}
    assert {job: cluster.state(job) for job in jobs} == dict.fromkeys(jobs, "COMPLETED"), logs
    assert [trial.number for trial in trials(location)] == list(range(12))
    assert Counter(trial.state for trial in trials(location)) == {TrialState.COMPLETE: 12}


def test_a_job_whose_walltime_ends_gives_its_trial_back_and_queues_up_again(
    cluster: Slurm, location: Location, invoke: Invoke
) -> None:
    submit(invoke, location, 3, *SLOWER_ARGUMENTS)
    script = cluster.script(location.url)
    # SLURM counts in minutes, and sends the signal up to a minute before it was asked to
    number = cluster.sbatch(script, "--array=1", "--time=5", *SMALL)
    job = f"{number}_1"
    wait_for(lambda: is_running(location), "a trial under way")
    # what the walltime does: the signal of --signal, to the shell alone
    call(program("scancel"), "--batch", "--signal=USR1", job)
    wait_for(lambda: cluster.jobs()[job]["Restarts"] == "1", "a second start")
    given_back = cluster.log(job)
    assert "giving the running trials back" in given_back
    cluster.ended([job], 180)
    assert cluster.state(job) == "COMPLETED", cluster.log(job)
    assert len(cluster.log(job)) > len(given_back)
    assert Counter(trial.state for trial in trials(location)) == {TrialState.COMPLETE: 3}
    assert [trial.number for trial in trials(location)] == [0, 1, 2]


def test_a_job_that_is_cancelled_gives_its_trial_back_and_stays_away(
    cluster: Slurm, location: Location, invoke: Invoke
) -> None:
    submit(invoke, location, 3, *SLOWER_ARGUMENTS)
    number = cluster.sbatch(cluster.script(location.url), "--array=1", "--time=5", *SMALL)
    job = f"{number}_1"
    wait_for(lambda: is_running(location), "a trial under way")
    call(program("scancel"), job)
    cluster.ended([job])
    assert cluster.state(job) == "CANCELLED"
    states = lambda: Counter(trial.state for trial in trials(location))  # noqa: E731
    wait_for(lambda: not states()[TrialState.RUNNING], "the trial given back", 25)
    assert states()[TrialState.WAITING] == 1
    assert "giving the running trials back" in cluster.log(job)
    assert cluster.jobs()[job]["Restarts"] == "0"


@pytest.mark.slow
def test_the_walltime_itself_ends_a_job_so(
    cluster: Slurm, location: Location, invoke: Invoke
) -> None:
    submit(invoke, location, 500, *SLOWER_ARGUMENTS)
    script = cluster.script(location.url)
    number = cluster.sbatch(script, "--array=1", "--time=2", "--signal=B:USR1@30", *SMALL)
    job = f"{number}_1"
    wait_for(lambda: cluster.jobs()[job]["Restarts"] == "1", "a second start", 180)
    assert "giving the running trials back" in cluster.log(job)
    states = Counter(trial.state for trial in trials(location))
    assert states[TrialState.FAIL] == 0
    assert states[TrialState.COMPLETE] > 0
    call(program("scancel"), job)
    cluster.ended([job])


def test_dask_jobqueue_starts_workers_that_search(
    cluster: Slurm, location: Location, start: Start, tmp_path: Path
) -> None:
    pytest.importorskip("dask_jobqueue")
    cluster.script(location.url)  # writes what its jobs activate
    text = (FILES / "dask_slurm.py").read_text()
    for theirs, ours in {
        "cores=32": "cores=1",
        "processes=8": "processes=1",
        'memory="64GB"': 'memory="2GB"',
        "08:00:00": "00:10:00",
        "460m": "8m",
        "10m": "1m",
        "8786": str(free_port()),
        "/shared/cvfp-opt": str(cluster.folder),
    }.items():
        assert theirs in text
        text = text.replace(theirs, ours)
    (cluster.folder / "dask_slurm.py").write_text(text)
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    jobs = fork_python("-m", "dask_slurm", "2", cwd=cluster.folder, environment=environment)
    try:
        assert jobs.stdout is not None
        for line in jobs.stdout:
            if line.startswith("cvfp-opt run --engine dask --scheduler "):
                break
        words = [*shlex.split(line)[1:], "quick", *TINY_ARGUMENTS, "--n-trials", "6"]
        code, out = end_of(start(*words, "--storage", location.url, cwd=tmp_path))
        assert code == 0, out
        assert "Dask workers search" in out
        assert Counter(trial.state for trial in trials(location)) == {TrialState.COMPLETE: 6}
        names = {job["JobName"] for job in cluster.jobs().values()}
        assert names == {"dask-worker"}
    finally:
        jobs.terminate()
        jobs.communicate(60)
    wait_for(
        lambda: {job["JobState"] for job in cluster.jobs().values()} == {"CANCELLED"}, "no jobs"
    )
