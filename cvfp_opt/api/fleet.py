"""The workers that stay, and the queue that they serve."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from cvfp_opt.api.interrupts import interruptible
from cvfp_opt.api.opening import artifacts_of, locate
from cvfp_opt.api.required import require_whole
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import (
    open_for_editing,
    open_for_reading,
    open_for_search,
)
from cvfp_opt.store.queue.overview import QueuedStudy, read_queue
from cvfp_opt.store.queue.workers import StayingWorker, Wanted, read_workers, want

if TYPE_CHECKING:
    from cvfp_opt.supervision import Supervisor
    from cvfp_opt.tuning.limits import Limits
    from cvfp_opt.workers.health import Pulse
    from cvfp_opt.workers.shares import Workers
    from cvfp_opt.workers.terms import Terms

# A drained worker's trials may go on for so long.
DRAIN_SECONDS = 600.0


def work(
    studies: Sequence[str] = (),
    *,
    storage: str | os.PathLike[str] | Location | None = None,
    workers: "Workers | None" = None,
    limits: "Limits | None" = None,
    until_idle: bool = True,
    max_trials: int | None = None,
    hours: str | None = None,
    allow_code: bool = False,
    mixed: bool = False,
) -> None:
    """Run trials of the studies in a database's queue, one study after the other.

    ^C gives the running trials back and raises KeyboardInterrupt: nothing is lost.

    Args:
        studies: names of those to serve, with wildcards (``"paper-*"``); empty for all.
        storage: path or URL of the database; None for CVFP_OPT_STORAGE, or storage/cvfp.db.
        workers: who runs the trials; None for one process of this machine with all its threads.
        limits: the limits of their patience, and where files of trials lie.
        until_idle: return when there is nothing to begin; else wait for what is submitted.
        max_trials: return after so many trials a worker; None for no end.
        hours: take trials only then, as "18-08 Mon-Fri" or "9-17".
        allow_code: run losses and schedules that only a study's database names.
        mixed: serve studies that began on another version or device, too.

    Raises:
        CvfpOptError: what `cvfp-opt worker` refuses, with the same words.
        KeyboardInterrupt: it was stopped.
    """
    from cvfp_opt.workers.shares import Workers

    if max_trials is not None:
        require_whole("max_trials", max_trials, 1)
    with interruptible():
        stay_at_work(
            locate(storage),
            workers or Workers(n_jobs=1),
            limits,
            studies=[studies] if isinstance(studies, str) else studies,
            until_idle=until_idle,
            max_trials=max_trials,
            hours=hours,
            allow_code=allow_code,
            mixed=mixed,
        )


def stay_at_work(
    location: Location,
    workers: "Workers",
    limits: "Limits | None" = None,
    *,
    studies: Sequence[str] = (),
    until_idle: bool = False,
    max_trials: int | None = None,
    hours: str | None = None,
    allow_code: bool = False,
    mixed: bool = False,
    health: int | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Serve a database's queue; see ``work``.

    Args:
        location: of the database.
        workers: as they were asked for.
        limits: the limits of their patience.
        studies, until_idle, max_trials, hours, allow_code, mixed: see ``work``.
        health: port at which to answer whether they live; None for none, 0 for any.
        say: given what the user must know.

    Raises:
        SearchStopped: a signal came; the running trials were given back.
        CvfpOptError: something is not as required.
    """
    from cvfp_opt.store.database.kinds import kind_of
    from cvfp_opt.workers.hours import read_hours

    working = read_hours(hours) if hours is not None else None
    # what is mistyped needs not wait for torch
    if location.path is not None or kind_of(location).has_database(location):
        kind_of(location).check_readable(location)
    else:
        with open_for_search(location):
            pass  # the first who comes to a server makes the tables

    from cvfp_opt.errors import ClusterError
    from cvfp_opt.tuning.limits import Limits
    from cvfp_opt.workers.forking import start_server_for
    from cvfp_opt.workers.shares import share_out
    from cvfp_opt.workers.terms import Terms

    if workers.engine != "processes" or workers.remote:
        raise ClusterError("workers that stay are processes of this machine; leave --engine out")
    shared = share_out(workers)
    start_server_for(shared)
    limits = limits or Limits(patience_seconds=float("inf"))
    terms = Terms(
        location=location,
        device=shared.device,
        threads=shared.threads or 1,
        lanes=shared.lanes,
        patterns=tuple(studies),
        allow_code=allow_code,
        mixed=mixed,
        until_idle=until_idle,
        max_trials=max_trials,
        hours=working,
        limits=replace(limits, artifacts=artifacts_of(limits.artifacts)),
    )
    _stay(terms, shared.n_jobs or 1, health, say)


def _stay(terms: "Terms", count: int, health: int | None, say: Callable[[str], None]) -> None:
    """Serve by so many workers, and tell whoever watches how they are."""
    from cvfp_opt.api.display.log import LogDisplay
    from cvfp_opt.supervision import Supervisor
    from cvfp_opt.tuning.stopping import StopRequest
    from cvfp_opt.workers.fleet import Fleet, stay
    from cvfp_opt.workers.health import Pulse

    supervisor = Supervisor.of()
    pulse = Pulse(_SILENT_SECONDS, begun=lambda: supervisor.ready("serves the queue"))
    fleet = Fleet(terms, count, LogDisplay, say, pulse) if count > 1 else None

    def stopping() -> None:
        supervisor.stopping("gives its running trials back")
        if fleet is not None:
            fleet.stop()
        say("stopping: giving the running trials back (again to stop at once)")

    with (
        _hooks_told(terms.location, terms.limits, say),
        _watched(pulse, supervisor, health, say),
        StopRequest(stopping) as stop,
    ):
        if fleet is not None:
            fleet.run(stop)
        else:
            stay(terms, LogDisplay, stop, pulse)


# A worker that has not even tried to tell the database for so long does not live.
_SILENT_SECONDS = 120.0


@contextmanager
def _hooks_told(
    location: Location, limits: "Limits", say: Callable[[str], None]
) -> Iterator[None]:
    """Tell hooks what happens meanwhile, if this machine has any."""
    from cvfp_opt.notify.file import read_notify_file
    from cvfp_opt.notify.sender import sending
    from cvfp_opt.store.database.retry import Patience

    if not read_notify_file(location).hooks:
        yield
        return
    patiently = Patience(seconds=limits.patience_seconds, notify=say)
    with open_for_editing(location, patiently) as store, sending(store, say):
        yield


@contextmanager
def _watched(
    pulse: "Pulse", supervisor: "Supervisor", health: int | None, say: Callable[[str], None]
) -> Iterator[None]:
    """Let whoever watches know meanwhile whether the workers live: a probe, or systemd."""
    from cvfp_opt.workers.health import answering

    with answering(health, pulse.alive) as port, supervisor.watched(pulse.alive):
        if port is not None:
            say(f"health: http://127.0.0.1:{port}/livez")
        try:
            yield
        finally:
            supervisor.stopping()


def list_workers(
    *, storage: str | os.PathLike[str] | Location | None = None
) -> list[StayingWorker]:
    """List the workers that stay with a database, first come first.

    Args:
        storage: path or URL of the database; None for CVFP_OPT_STORAGE, or storage/cvfp.db.

    Raises:
        StorageError: there is no such database.
    """
    with open_for_reading(locate(storage)) as store:
        return store.patiently(lambda: read_workers(store))


def queue(*, storage: str | os.PathLike[str] | Location | None = None) -> list[QueuedStudy]:
    """List the studies of a database with what is wanted of them and how far they are.

    Args:
        storage: path or URL of the database; None for CVFP_OPT_STORAGE, or storage/cvfp.db.

    Raises:
        StorageError: there is no such database.
    """
    with open_for_reading(locate(storage)) as store:
        return store.patiently(lambda: read_queue(store))


def drain_worker(
    worker: str,
    *,
    storage: str | os.PathLike[str] | Location | None = None,
    within: float | None = DRAIN_SECONDS,
) -> StayingWorker:
    """Let a worker take no further trial, and end after those that it runs.

    Args:
        worker: its id, or as much of its beginning as names one alone.
        storage: path or URL of the database; None for CVFP_OPT_STORAGE, or storage/cvfp.db.
        within: seconds after which it gives back what it still runs, with a checkpoint; None for
            no end.

    Raises:
        StudyError: there is no such worker, or it is gone.
    """
    return _want(worker, storage, Wanted.DRAIN, within)


def stop_worker(
    worker: str, *, storage: str | os.PathLike[str] | Location | None = None
) -> StayingWorker:
    """Let a worker give back what it runs, with checkpoints, and end.

    Args:
        worker: its id, or as much of its beginning as names one alone.
        storage: path or URL of the database; None for CVFP_OPT_STORAGE, or storage/cvfp.db.

    Raises:
        StudyError: there is no such worker, or it is gone.
    """
    return _want(worker, storage, Wanted.STOP, None)


def _want(
    worker: str,
    storage: str | os.PathLike[str] | Location | None,
    wanted: Wanted,
    within: float | None,
) -> StayingWorker:
    with open_for_editing(locate(storage)) as store:
        return store.patiently(lambda: want(store, worker, wanted, within=within))
