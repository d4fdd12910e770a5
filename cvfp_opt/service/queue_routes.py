"""The queue and its workers."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypedDict

from cvfp_opt.api.fleet import DRAIN_SECONDS
from cvfp_opt.errors import DefinitionError
from cvfp_opt.report.queue import queue_json, workers_json
from cvfp_opt.service.route import Answer, Call
from cvfp_opt.store.queue.overview import QueuedStudy, read_queue
from cvfp_opt.store.queue.workers import StayingWorker, Wanted, read_workers, want
from cvfp_opt.store.record.tokens import Rights

_LONGEST_SECONDS = 10 * 365 * 86400.0


class DrainBody(TypedDict, total=False):
    """How to drain.

    Attributes:
        within: seconds after which it gives back what it still runs, with a checkpoint; null for
            no end; 600 where nothing is said.
    """

    within: float | None


def show_queue(call: Call) -> Answer:
    """Show the queue, in the order in which studies are served: what runs where, what waits."""
    studies, workers = seen(call)
    return Answer(value=queue_json(studies, workers))


def list_workers(call: Call) -> Answer:
    """List the workers that stay: where, what they run, why they take nothing."""
    studies, workers = seen(call)
    return Answer(value=workers_json(workers, studies))


def drain_worker(call: Call) -> Answer:
    """Let a worker take no further trial, and end after those that it runs."""
    within = call.body.get("within", DRAIN_SECONDS)
    if within is not None and not 0 <= within <= _LONGEST_SECONDS:
        raise DefinitionError(f"within: seconds from 0 on are required, got {within}")
    return _wanted(call, Wanted.DRAIN, within)


def stop_worker(call: Call) -> Answer:
    """Let a worker give back what it runs, with checkpoints, and end."""
    return _wanted(call, Wanted.STOP, None)


def seen(call: Call) -> tuple[list[QueuedStudy], list[StayingWorker]]:
    """Read the queue and the workers, without the names of what may not be seen."""
    rights = call.rights
    studies = [one for one in read_queue(call.desk.store) if rights.covers(one.name)]
    return studies, _legible(read_workers(call.desk.store), rights)


def _legible(workers: Sequence[StayingWorker], rights: Rights) -> list[StayingWorker]:
    return [
        replace(
            worker,
            skipped={name: why for name, why in worker.skipped.items() if rights.covers(name)},
        )
        for worker in workers
    ]


def _wanted(call: Call, wanted: Wanted, within: float | None) -> Answer:
    store = call.desk.store
    found = want(store, call.words["worker"], wanted, within=within)
    return Answer(value=workers_json([found], read_queue(store))[0])
