"""The queue and its workers: what runs where, what is next, and why something waits."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypedDict

from cvfp_opt.escaping import listed
from cvfp_opt.report.aligned import aligned_lines, fitting, selected
from cvfp_opt.report.rows import Cell, Rows
from cvfp_opt.report.words import duration
from cvfp_opt.store.queue.overview import QueuedStudy, Stage
from cvfp_opt.store.queue.watching import is_served, why_not_served
from cvfp_opt.store.queue.workers import StayingWorker, Wanted, WorkerState
from cvfp_opt.store.record.summary import STATES, Counts

# column of the queue -> importance where there is no room for all
_STUDIES = {
    "study": 9,
    "state": 8,
    "trials": 7,
    "running on": 6,
    "owner": 2,
    "priority": 3,
    "weight": 3,
    "tags": 1,
}
_WORKERS = {
    "worker": 9,
    "host": 6,
    "state": 8,
    "study": 7,
    "device": 3,
    "seen": 4,
    "version": 1,
    "serves": 2,
}
_MOST_NAMES, _LONGEST_NAME = 3, 24
_ENDED = (Stage.DONE, Stage.CANCELLED)


class RunningJson(TypedDict):
    """A trial that runs.

    Attributes:
        trial: its number.
        worker: id of its worker; null if another program runs it.
        host: name of its worker's machine.
        abandoned: whether its worker is dead, so that another may take it over.
    """

    trial: int
    worker: str | None
    host: str | None
    abandoned: bool


class QueuedStudyJson(TypedDict):
    """A study in the queue: how it stands, what is wanted of it, and who runs it.

    Attributes:
        study: its name.
        stage: how it stands.
        finished: trials that have ended, well or not.
        to_begin: trials that a worker may begin or take over now.
        counts: trials by state.
        served: whether it waits for nobody: nothing is to begin, a worker runs it, or may take it.
        why: why nobody runs it although it has trials to begin; empty if somebody does, or will.
        running: the trials that run, by number.
    """

    study: str
    stage: Annotated[str, Stage]
    finished: int
    to_begin: int
    counts: Annotated[dict[str, Any], Counts]
    served: bool
    why: str
    running: list[RunningJson]


class WorkerJson(TypedDict):
    """A worker that stays, as it told last.

    Attributes:
        worker: its id; its beginning is enough to name it, as long as it names one alone.
        host: name of its machine.
        pid: its process.
        state: what it does.
        study: name of the study whose trials it runs; null if none.
        device: that it computes on.
        lanes: trials that it runs at once.
        version: of this program.
        patterns: names of the studies that it serves, with wildcards; empty for all.
        joined: when it came, epoch seconds by the database's clock.
        seen: when it told last that it is alive, epoch seconds by the database's clock.
        reason: why it takes nothing; empty while it runs trials.
        skipped: why it serves no trial of a study, by the study's name.
        wanted: what somebody wants of it; empty for work.
    """

    worker: str
    host: str
    pid: int
    state: Annotated[str, WorkerState]
    study: str | None
    device: str
    lanes: int
    version: str
    patterns: list[str]
    joined: float
    seen: float
    reason: str
    skipped: dict[str, str]
    wanted: Annotated[str, Wanted]


def order_of_service(studies: Sequence[QueuedStudy]) -> list[QueuedStudy]:
    """Order the studies as workers choose: what can be served first, then by priority."""
    return sorted(
        studies,
        key=lambda study: (
            study.stage in _ENDED,
            study.to_begin == 0 and not study.running,
            -study.entry.priority,
            len(study.workers) / study.entry.weight,
            study.last_start,
            study.study_id,
        ),
    )


def why_waiting(study: QueuedStudy, workers: Sequence[StayingWorker], option: str = "") -> str:
    """Say why nobody runs a study that has trials to begin; "" if somebody does, or will.

    Args:
        study: in the queue.
        workers: that stay.
        option: what to add to a command to mean their database.
    """
    if study.spent:
        return study.spent
    if study.stage is not Stage.WAITING:
        return ""
    living = [worker for worker in workers if worker.state is not WorkerState.GONE]
    if not living:
        return f"there is no worker: `cvfp-opt worker{option}` starts one"
    reasons = [why_not_served(study, worker) for worker in living]
    return f"no worker fits: {reasons[0]}" if all(reasons) else ""


def queue_rows(studies: Sequence[QueuedStudy]) -> Rows:
    """Make the table of studies in the order in which they are served."""
    rows = tuple(_study_row(study) for study in order_of_service(studies))
    return Rows(columns=tuple(_STUDIES), rows=rows)


def queue_lines(
    studies: Sequence[QueuedStudy],
    workers: Sequence[StayingWorker],
    width: int,
    *,
    everything: bool = False,
    option: str = "",
) -> list[str]:
    """Write the queue for people: the studies that are not done, who runs them, and what waits.

    Args:
        studies: of the database.
        workers: that stay with it.
        width: of a line in cells of a terminal.
        everything: whether to list the studies that are done or cancelled, too.
        option: what to add to a command to mean their database.
    """
    shown = [study for study in studies if everything or study.stage not in _ENDED]
    lines = _table(queue_rows(shown), _STUDIES, width) if shown else []
    for study in order_of_service(shown):
        if reason := why_waiting(study, workers, option):
            lines.append(f"{study.name} waits: {reason}")
    states = Counter(worker.state for worker in workers)
    counts = ", ".join(f"{count} {state.value}" for state, count in states.items())
    hidden = len(studies) - len(shown)
    lines += [""] if lines else []
    lines.append(f"workers: {counts or 'none'}")
    if hidden:
        lines.append(f"{hidden} more {'is' if hidden == 1 else 'are'} done or cancelled: --all")
    return lines


def worker_rows(
    workers: Sequence[StayingWorker], studies: Sequence[QueuedStudy], now: float
) -> Rows:
    """Make the table of workers, first come first.

    Args:
        workers: that stay.
        studies: for their names.
        now: epoch seconds by the database's clock.
    """
    names = {study.study_id: study.name for study in studies}
    rows = tuple(
        (
            worker.short,
            worker.host,
            worker.state.value,
            names.get(worker.study_id or -1, "-"),
            worker.device,
            f"{duration(max(0.0, now - worker.seen))} ago",
            worker.version,
            listed(worker.patterns, most=_MOST_NAMES, longest=_LONGEST_NAME) or "all",
        )
        for worker in workers
    )
    return Rows(columns=tuple(_WORKERS), rows=rows)


def worker_lines(
    workers: Sequence[StayingWorker],
    studies: Sequence[QueuedStudy],
    width: int,
    now: float | None = None,
    option: str = "",
) -> list[str]:
    """Write the workers for people, and why one takes nothing.

    Args:
        workers: that stay.
        studies: for their names.
        width: of a line in cells of a terminal.
        now: epoch seconds by the database's clock; None for this machine's.
        option: what to add to a command to mean their database.
    """
    if not workers:
        return [f"no worker stays with this database; `cvfp-opt worker{option}` starts one"]
    at = time.time() if now is None else now
    lines = _table(worker_rows(workers, studies, at), _WORKERS, width)
    for worker in workers:
        if worker.reason and worker.state is WorkerState.IDLE:
            lines.append(f"{worker.short} is idle: {worker.reason}")
        lines += [
            f"{worker.short} leaves out {name}: {why}" for name, why in worker.skipped.items()
        ]
    return lines


def queue_json(
    studies: Sequence[QueuedStudy], workers: Sequence[StayingWorker]
) -> list[dict[str, Any]]:
    """Convert the queue to plain JSON values, in the order in which studies are served."""
    return [study_entry_json(study, workers) for study in order_of_service(studies)]


def study_entry_json(study: QueuedStudy, workers: Sequence[StayingWorker]) -> dict[str, Any]:
    """Convert a study of the queue to plain JSON values."""
    found: QueuedStudyJson = {
        "study": study.name,
        "stage": study.stage.value,
        "finished": study.finished,
        "to_begin": study.to_begin,
        "counts": {state: study.counts.get(state, 0) for state in STATES},
        "served": is_served(study, workers),
        "why": why_waiting(study, workers),
        "running": [
            {
                "trial": trial.number,
                "worker": trial.lease.worker if trial.lease else None,
                "host": trial.lease.host if trial.lease else None,
                "abandoned": trial.dead,
            }
            for trial in study.running
        ],
    }
    return {**found, **study.entry.in_words()}


def is_busy(entry: Mapping[str, Any]) -> bool:
    """Check whether trials of a study run, wait to be run, or are to be begun by a worker.

    Args:
        entry: see ``study_entry_json``; of another program's study, its counts will do.
    """
    counts = entry["counts"]
    waits = counts["waiting"] and entry.get("state", "open") == "open"
    to_come = entry.get("to_begin") and entry.get("served")
    return bool(counts["running"] or waits or to_come)


def workers_json(
    workers: Sequence[StayingWorker], studies: Sequence[QueuedStudy]
) -> list[WorkerJson]:
    """Convert the workers to plain JSON values, first come first."""
    names = {study.study_id: study.name for study in studies}
    return [
        {
            "worker": worker.worker,
            "host": worker.host,
            "pid": worker.pid,
            "state": worker.state.value,
            "study": names.get(worker.study_id or -1),
            "device": worker.device,
            "lanes": worker.lanes,
            "version": worker.version,
            "patterns": list(worker.patterns),
            "joined": worker.joined,
            "seen": worker.seen,
            "reason": worker.reason,
            "skipped": dict(worker.skipped),
            "wanted": worker.wanted.value,
        }
        for worker in workers
    ]


def _study_row(study: QueuedStudy) -> tuple[Cell, ...]:
    entry = study.entry
    hosts = Counter(trial.lease.host for trial in study.running if trial.lease and not trial.dead)
    places = [host if count == 1 else f"{host} x{count}" for host, count in hosts.items()]
    total = "?" if entry.total is None else entry.total
    return (
        study.name,
        study.stage.value,
        f"{study.finished} of {total}",
        listed(places, most=_MOST_NAMES, longest=_LONGEST_NAME) or "-",
        entry.owner or "-",
        entry.priority,
        entry.weight,
        listed(entry.tags, most=_MOST_NAMES, longest=_LONGEST_NAME) or "-",
    )


def _table(rows: Rows, importance: dict[str, int], width: int) -> list[str]:
    chosen = fitting(rows, width, [importance[column] for column in rows.columns])
    return aligned_lines(selected(rows, chosen))
