"""A SLURM of one node for a test: munged, slurmctld and slurmd on free ports, in a folder."""

import getpass
import json
import os
import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from deploy.programs import FILES, call, free_port, program, running, wait_for

_SETTINGS = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
SlurmctldPort={controller}
SlurmdPort={node}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/node.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_interval=1
SlurmdParameters=config_overrides
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=4000 State=UNKNOWN
PartitionName=batch Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class Slurm:
    """A cluster that runs.

    Attributes:
        folder: where it lies, with the log of each job.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def sbatch(self, script: Path, *options: str) -> int:
        """Submit a job; its number."""
        outcome = call(program("sbatch"), "--parsable", *options, script, cwd=self.folder)
        assert outcome.returncode == 0, outcome.stderr
        return int(outcome.stdout.strip())

    def jobs(self) -> dict[str, dict[str, str]]:
        """What it knows of each job, by its number, with the task's if it is one of an array."""
        outcome = call(program("scontrol"), "show", "job", "--oneliner")
        found = {}
        for line in outcome.stdout.splitlines():
            fields = dict(word.partition("=")[::2] for word in line.split())
            if "JobId" in fields:
                task = fields.get("ArrayTaskId", "")
                number = fields.get("ArrayJobId", fields["JobId"])
                found[f"{number}_{task}" if task else number] = fields
        return found

    def state(self, job: str) -> str:
        return self.jobs().get(job, {}).get("JobState", "")

    def log(self, job: str) -> str:
        """What a job has printed."""
        path = self.folder / f"worker-{job}.log"
        return path.read_text() if path.exists() else ""

    def ended(self, jobs: list[str], seconds: float = 120) -> None:
        """Wait until all of these jobs have ended."""
        known = lambda: {job: self.state(job) for job in jobs}  # noqa: E731
        over = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT"}
        try:
            wait_for(lambda: set(known().values()) <= over, "the jobs' end", seconds)
        except AssertionError as error:
            logs = {job: self.log(job) for job in jobs}
            raise AssertionError(f"{error}\n{known()}\n{json.dumps(logs, indent=1)}") from None

    def script(self, storage: str) -> Path:
        """Our script, with this folder in the place of the shared one."""
        activate = self.folder / "venv" / "bin" / "activate"
        activate.parent.mkdir(parents=True)
        activate.write_text(f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH\n")
        (self.folder / "settings").write_text(
            f"export CVFP_OPT_STORAGE={shlex.quote(storage)}\n"
            f"export CVFP_OPT_ARTIFACTS={shlex.quote(str(self.folder))}\n"
            "export PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1\n"
        )
        path = self.folder / "slurm.sh"
        text = (FILES / "slurm.sh").read_text()
        path.write_text(text.replace("/shared/cvfp-opt", shlex.quote(str(self.folder))))
        return path


@contextmanager
def slurm(folder: Path, monkeypatch: Any) -> Iterator[Slurm]:
    """A cluster of this machine with eight processors, whatever it has."""
    munged, controller, node = map(program, ("munged", "slurmctld", "slurmd"))
    words = {
        "host": socket.gethostname().partition(".")[0],
        "user": getpass.getuser(),
        "folder": folder,
        "controller": free_port(),
        "node": free_port(),
    }
    for name in ("state", "spool"):
        (folder / name).mkdir()
    for parent in (folder, *folder.parents[:-2]):  # munged asks that nobody else may write there
        parent.chmod(parent.stat().st_mode & ~0o022 | 0o711)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    settings = folder / "slurm.conf"
    settings.write_text(_SETTINGS.format(**words))
    monkeypatch.setenv("SLURM_CONF", str(settings))
    of_munge = [f"--{key}-file={folder}/munge.{key}" for key in ("key", "pid", "log", "seed")]
    with ExitStack() as stack:
        stack.enter_context(
            running(
                *(munged, "--foreground", "--force", f"--socket={folder}/munge.socket"),
                *of_munge,
                cwd=folder,
                ready=(folder / "munge.socket").exists,
            )
        )
        idle = lambda: "idle" in call(program("sinfo"), "--noheader", "--format=%t").stdout  # noqa: E731
        stack.enter_context(running(controller, "-D", cwd=folder, ready=lambda: True))
        stack.enter_context(running(node, "-D", cwd=folder, ready=idle))
        found = Slurm(folder)
        try:
            yield found
        finally:  # else what a failed test leaves runs on
            call(program("scancel"), "--user", getpass.getuser())
            gone = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT"}
            states = lambda: {job["JobState"] for job in found.jobs().values()}  # noqa: E731
            wait_for(lambda: states() <= gone, "all jobs have ended", 40)
