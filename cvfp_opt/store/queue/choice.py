"""The choice of the study that a worker serves next: priority, then a fair share by weight.

The choice is made of a plain read before the claim, which has that study's lock alone: a choice
that is out of date costs a little fairness, and never a count.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from zlib import crc32

from cvfp_opt.store.queue.overview import QueuedStudy


@dataclass
class Competition:
    """The studies that compete for workers, since the youngest of them came.

    Attributes:
        before: how many trials of each had ended by then, and what they had taken, by its id.
    """

    before: dict[int, tuple[int, float]] = field(default_factory=dict)

    def update(self, studies: Sequence[QueuedStudy]) -> None:
        """Begin anew where another study has come: it is owed nothing for the time before."""
        now = {study.study_id: (study.timed, study.seconds) for study in studies}
        known = now.keys() <= self.before.keys()
        self.before = {one: self.before[one] if known else now[one] for one in now}

    def served(self, study: QueuedStudy, trial_seconds: float) -> float:
        """Give what it has had since then, in trials of so many seconds; only ended ones count.

        Where trials take no time, or less than the database keeps, their number counts.
        """
        timed, seconds = self.before[study.study_id]
        if trial_seconds <= 0.0:
            return max(0.0, float(study.timed - timed))
        return max(0.0, study.seconds - seconds) / trial_seconds


def may_serve(study: QueuedStudy, worker: str) -> bool:
    """Check whether a study has something to begin, and room for this worker."""
    most = study.entry.max_workers
    return study.to_begin > 0 and (most is None or len(study.workers - {worker}) < most)


def choose(
    studies: Sequence[QueuedStudy],
    worker: str,
    competition: Competition,
    current: int | None = None,
) -> QueuedStudy | None:
    """Choose the study that a worker serves next; None if none has anything for it.

    The highest priority comes first. Of those that have it, the one that has had the least for its
    weight: trials since the youngest of them came, by the time that they took, and those that
    others run now. Of equals, the one in which no trial has begun for the longest time; if none
    has begun in several, each worker has an order of its own.

    Args:
        studies: that the worker may serve.
        worker: its id.
        competition: what it knows of them.
        current: id of the study whose trial it ended just now; it stays there unless another one
            is owed more than a trial, because texts and tables would have to be loaded.
    """
    candidates = [study for study in studies if may_serve(study, worker)]
    first = max((study.entry.priority for study in candidates), default=0)
    candidates = [study for study in candidates if study.entry.priority == first]
    competition.update(candidates)
    if not candidates:
        return None
    timed = sum(study.timed for study in candidates)
    trial_seconds = sum(study.seconds for study in candidates) / timed if timed else 0.0

    def had(study: QueuedStudy) -> float:
        ended = competition.served(study, trial_seconds)
        return (ended + len(study.workers - {worker})) / study.entry.weight

    def order(study: QueuedStudy) -> tuple[float, str, int]:
        # of equals, workers that choose at one moment do not all choose the same
        return had(study), study.last_start, crc32(f"{worker}/{study.study_id}".encode())

    best = min(candidates, key=order)
    for study in candidates:
        if study.study_id == current and had(study) - 1 / study.entry.weight <= had(best):
            return study
    return best
