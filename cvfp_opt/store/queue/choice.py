"""The choice of the study that a worker serves next: priority, then a fair share by weight.

The choice is made of a plain read before the claim, which has that study's lock alone: a choice
that is out of date costs a little fairness, and never a count.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cvfp_opt.store.queue.overview import QueuedStudy


@dataclass
class Served:
    """The time that one worker has given to each of the studies that compete for it.

    Where many workers serve few studies, what others run decides; where few serve many, this does.

    Attributes:
        seconds: by the study's id, since the youngest of them came.
        last: of the trial that ended last.
    """

    seconds: dict[int, float] = field(default_factory=dict)
    last: float = 0.0

    def add(self, study_id: int, seconds: float) -> None:
        """Count the time of a trial."""
        self.seconds[study_id] = self.seconds.get(study_id, 0.0) + seconds
        self.last = seconds

    def compete(self, study_ids: Iterable[int]) -> None:
        """Begin anew where another study has come: it is owed nothing for the time before."""
        ids = set(study_ids)
        if not ids <= self.seconds.keys():
            self.seconds = dict.fromkeys(ids, 0.0)
        self.seconds = {one: seconds for one, seconds in self.seconds.items() if one in ids}

    def share(self, study_id: int, *, but: float = 0.0) -> float:
        """Give a study's share of the time, between 0 and 1, ``but`` seconds of it left out."""
        total = sum(self.seconds.values())
        return max(0.0, self.seconds.get(study_id, 0.0) - but) / total if total > 0 else 0.0


def may_serve(study: QueuedStudy, worker: str) -> bool:
    """Check whether a study has something to begin, and room for this worker."""
    most = study.entry.max_workers
    return study.to_begin > 0 and (most is None or len(study.workers - {worker}) < most)


def choose(
    studies: Sequence[QueuedStudy], worker: str, served: Served, current: int | None = None
) -> QueuedStudy | None:
    """Choose the study that a worker serves next; None if none has anything for it.

    The highest priority comes first. Of those that have it, the one with the fewest workers for
    its weight; the worker itself counts by the share of its own time that it has given to each.
    Of equals, the one in which no trial has begun for the longest time.

    Args:
        studies: that the worker may serve.
        worker: its id.
        served: the time that it has given to each.
        current: id of the study whose trial it ended just now; it stays there unless another one
            is owed more than a trial, because texts and tables would have to be loaded.
    """
    candidates = [study for study in studies if may_serve(study, worker)]
    first = max((study.entry.priority for study in candidates), default=0)
    candidates = [study for study in candidates if study.entry.priority == first]
    if not candidates:
        return None
    served.compete(study.study_id for study in candidates)

    def load(study: QueuedStudy) -> float:
        but = served.last if study.study_id == current else 0.0
        given = served.share(study.study_id, but=but)
        return (len(study.workers - {worker}) + given) / study.entry.weight

    best = min(candidates, key=lambda study: (load(study), study.last_start, study.study_id))
    for study in candidates:
        if study.study_id == current and load(study) <= load(best):
            return study
    return best
