"""Boards for the queue's page and metrics: studies and workers that were never in a database."""

from dataclasses import replace
from typing import Any

from cvfp_opt.report.board import Board, Standing
from cvfp_opt.report.confirmation import ConfirmationVerdict
from cvfp_opt.store.queue.leases import Lease
from cvfp_opt.store.queue.overview import QueuedStudy, RunningTrial
from cvfp_opt.store.queue.workers import StayingWorker, Wanted, WorkerState
from cvfp_opt.store.record.bests import Best
from cvfp_opt.store.record.queue_entry import QueueEntry, QueueState

NOW = 1795812000.0
EVIL = "</td><script>alert(1)</script>\u202e" + "x" * 270


def worker(number: int, state: WorkerState, **changes: Any) -> StayingWorker:
    """A worker that was seen so many seconds ago."""
    made = StayingWorker(
        worker=f"{number:02x}" * 16,
        host=f"host-{number}",
        machine="m",
        pid=1000 + number,
        started=0.0,
        version="1.2",
        device="cpu",
        seen=NOW - number,
        state=state,
    )
    return replace(made, **changes)


def running(number: int, by: StayingWorker, *, dead: bool = False) -> RunningTrial:
    """A trial that a worker runs."""
    lease = Lease(
        worker=by.worker,
        host=by.host,
        machine=by.machine,
        pid=by.pid,
        started=0.0,
        epoch=1,
        expires=NOW + 60.0,
        seconds=60.0,
        attempts=0,
    )
    return RunningTrial(number=number, lease=lease, dead=dead)


def standing(
    study_id: int,
    name: str,
    entry: QueueEntry,
    counts: dict[str, int],
    *trials: RunningTrial,
    best: Best | None = None,
    verdict: ConfirmationVerdict | None = None,
    **more: Any,
) -> Standing:
    """A study on a board."""
    study = QueuedStudy(
        study_id=study_id,
        name=name,
        entry=entry,
        counts=counts,
        running=trials,
        spent=more.pop("spent", ""),
        last_start=more.pop("last_start", ""),
        first_start=more.pop("first_start", ""),
        timed=more.pop("timed", 0),
        seconds=more.pop("seconds", 0.0),
    )
    return Standing(study=study, best=best, verdict=verdict, **more)


def best(value: float, untrained: float | None = 0.5) -> Best:
    """A best trial."""
    return Best(number=7, value=value, untrained=untrained, uuid="u")


BUSY = worker(1, WorkerState.RUNNING)
LEAVING = worker(2, WorkerState.DRAINING, wanted=Wanted.DRAIN)
IDLE = worker(
    3,
    WorkerState.IDLE,
    reason="no study has a trial for this worker",
    skipped={"team/a": "computes on cuda, this worker on cpu", EVIL: EVIL},
    patterns=("team/*",),
    lanes=4,
)
GONE = worker(70, WorkerState.GONE)

EMPTY = Board(now=NOW, studies=(), workers=())
BOARD = Board(
    now=NOW,
    studies=(
        standing(
            1,
            "team/a",
            QueueEntry(total=50, owner="ada", tags=("thesis", "x"), version=3, submitted=1.0),
            {"complete": 9, "pruned": 2, "fail": 1, "running": 2, "waiting": 1},
            running(12, BUSY),
            running(13, LEAVING, dead=True),
            best=best(0.9),
            verdict=ConfirmationVerdict.CONFIRMED,
            timed=12,
            seconds=600.0,
            takeovers=2,
            lost=1,
        ),
        standing(
            2, EVIL, QueueEntry(total=200, priority=5, weight=2.5, max_workers=4, owner=EVIL), {}
        ),
        standing(
            3,
            "paused",
            QueueEntry(total=20, state=QueueState.PAUSED),
            {"complete": 8},
            best=best(0.505),
        ),
        standing(4, "cancelled", QueueEntry(total=20, state=QueueState.CANCELLED), {}),
        standing(5, "done", QueueEntry(total=1), {"complete": 1}, best=best(0.4, None)),
        standing(
            6,
            "spent",
            QueueEntry(total=9, max_failed=1, max_seconds=60.0, until=NOW),
            {"fail": 1},
            spent="1 failed trials, of a budget of 1",
        ),
        standing(7, "unasked", QueueEntry(), {"complete": 1}),
    ),
    workers=(BUSY, LEAVING, IDLE, GONE),
)
