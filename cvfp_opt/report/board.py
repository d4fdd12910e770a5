"""The board: how all studies and workers stand at a moment, for the queue's page and metrics."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from cvfp_opt.report.confirmation import ConfirmationVerdict, result_of
from cvfp_opt.store.database.reading import one_moment
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.queue.losses import read_lost, read_takeovers
from cvfp_opt.store.queue.overview import QueuedStudy, read_queue
from cvfp_opt.store.queue.workers import StayingWorker, read_workers
from cvfp_opt.store.record.bests import Best, read_bests
from cvfp_opt.store.record.confirmations import ConfirmedBest, read_confirmations


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A study on the board.

    Attributes:
        study: its place in the queue.
        best: its best trial; None before one is complete.
        verdict: of fresh seeds on that trial; None if it was not run on any.
        takeovers: how often a trial was taken over from a dead worker.
        lost: trials that were given up because workers died.
    """

    study: QueuedStudy
    best: Best | None = None
    verdict: ConfirmationVerdict | None = None
    takeovers: int = 0
    lost: int = 0

    @property
    def is_confirmed(self) -> bool:
        """Check whether fresh seeds have confirmed the best trial."""
        return self.verdict is ConfirmationVerdict.CONFIRMED


@dataclass(frozen=True, kw_only=True)
class Board:
    """All studies and workers of a database.

    Attributes:
        now: when it was read, epoch seconds by the database's clock.
        studies: first created first.
        workers: those that stay, first come first.
    """

    now: float
    studies: Sequence[Standing]
    workers: Sequence[StayingWorker]


def read_board(store: Store) -> Board:
    """Read how all studies and workers stand, by few statements for any number of them.

    Raises:
        StorageError: the database cannot be read.
    """
    queue, workers = read_queue(store), read_workers(store)
    with one_moment(store.engine) as connection:
        now = connection.scalars(select(store.now())).one()
        bests = read_bests(connection)
        names = {study.name: study.study_id for study in queue}
        confirmed = read_confirmations(connection, names, bests)
        takeovers, lost = read_takeovers(connection, store), read_lost(connection)
    studies = [
        Standing(
            study=study,
            best=bests.get(study.study_id),
            verdict=_verdict(confirmed.get(study.study_id)),
            takeovers=takeovers.get(study.study_id, 0),
            lost=lost.get(study.study_id, 0),
        )
        for study in queue
    ]
    return Board(now=now, studies=studies, workers=workers)


def _verdict(found: ConfirmedBest | None) -> ConfirmationVerdict | None:
    if found is None:
        return None
    point = next((one for one in found.runs.points if one.key == found.uuid), None)
    return None if point is None else result_of(point, found.runs.trials).verdict
