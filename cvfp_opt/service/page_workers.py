"""The workers on the queue's page: a row each, in words."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from cvfp_opt.report.board import Board
from cvfp_opt.report.words import duration
from cvfp_opt.store.queue.workers import StayingWorker, Wanted, WorkerState
from cvfp_opt.store.record.tokens import Rights, Scope

# Classes of the page's style sheet.
_TONES: Mapping[WorkerState, str] = {
    WorkerState.RUNNING: "yes",
    WorkerState.DRAINING: "care",
    WorkerState.STOPPING: "care",
    WorkerState.GONE: "no",
}
_WANTED: Mapping[Wanted, str] = {
    Wanted.DRAIN: "ends after the trials that it runs",
    Wanted.STOP: "gives back what it runs, and ends",
}


@dataclass(frozen=True, kw_only=True)
class WorkerRow:
    """A worker that stays, on the page.

    Attributes:
        worker, short: its id, and the beginning of it.
        host, pid: where it is.
        state, tone: what it does, and the class that colours it.
        trials: what it runs: the study, its name within the page, the trial.
        why: why it takes nothing; "" if it does.
        skipped: studies that it leaves out, and why.
        seen: when it said last that it is alive.
        serves: names of the studies that it serves, with wildcards; "all" for all.
        about: device, trials at once, version.
        form: the address below which forms about it are sent, a verb each.
        verbs: what whoever looks may do to it.
    """

    worker: str
    short: str
    host: str
    pid: int
    state: str
    tone: str
    trials: Sequence[tuple[str, str, int]]
    why: str
    skipped: Sequence[tuple[str, str]]
    seen: str
    serves: str
    about: str
    form: str
    verbs: Sequence[str]


def worker_rows(board: Board, rights: Rights, *, base: str) -> list[WorkerRow]:
    """Make a row of each worker, first come first; of studies only those that may be seen."""
    trials: defaultdict[str, list[tuple[str, str, int]]] = defaultdict(list)
    for study in (standing.study for standing in board.studies):
        for trial in study.running:
            if trial.lease and not trial.dead and rights.covers(study.name):
                found = (study.name, f"study-{study.study_id}", trial.number)
                trials[trial.lease.worker].append(found)
    # a worker serves studies of all: who may not see them all does not end it
    may_control = rights.may(Scope.CONTROL) and not rights.studies
    return [
        _row(worker, trials[worker.worker], rights, board.now, base, may_control=may_control)
        for worker in board.workers
    ]


def _row(
    worker: StayingWorker,
    trials: Sequence[tuple[str, str, int]],
    rights: Rights,
    now: float,
    base: str,
    *,
    may_control: bool,
) -> WorkerRow:
    idle = worker.reason if worker.state in (WorkerState.IDLE, WorkerState.STARTING) else ""
    lanes = f", {worker.lanes} trials at once" if worker.lanes > 1 else ""
    return WorkerRow(
        worker=worker.worker,
        short=worker.short,
        host=worker.host,
        pid=worker.pid,
        state=worker.state.value,
        tone=_TONES.get(worker.state, "soft"),
        trials=trials,
        why=_WANTED.get(worker.wanted, idle) if worker.state is not WorkerState.GONE else "",
        skipped=[(name, why) for name, why in worker.skipped.items() if rights.covers(name)],
        seen=f"{duration(max(0.0, now - worker.seen))} ago",
        serves=", ".join(worker.patterns) or "all",
        about=f"{worker.device or 'cpu'}{lanes}, version {worker.version}",
        form=f"{base}/workers/{quote(worker.worker, safe='')}",
        verbs=_verbs(worker) if may_control else (),
    )


def _verbs(worker: StayingWorker) -> tuple[str, ...]:
    if worker.state in (WorkerState.GONE, WorkerState.STOPPING) or worker.wanted is Wanted.STOP:
        return ()
    if worker.state is WorkerState.DRAINING or worker.wanted is Wanted.DRAIN:
        return ("stop",)
    return ("drain", "stop")
