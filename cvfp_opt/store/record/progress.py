"""The progress of a study, after each trial of a search."""

import math
import threading
from collections.abc import Collection
from dataclasses import dataclass

import optuna
from optuna.trial import FrozenTrial, TrialState

from cvfp_opt.store.database.constraints import constraints_of, is_feasible
from cvfp_opt.store.database.lazy_attributes import user_attribute
from cvfp_opt.store.record.attribute_shapes import is_ours
from cvfp_opt.store.record.records import TrialRecord, rank


@dataclass(frozen=True, kw_only=True)
class StudyProgress:
    """The state of a study in the middle of a search.

    Attributes:
        finished: trials to which nothing more will happen.
        best: the complete trial with the best score; None if none is complete.
    """

    finished: int
    best: TrialRecord | None


class ProgressTracker:
    """A tracker of a study, which looks at an ended trial once. Safe to use from threads."""

    def __init__(self, study: optuna.Study) -> None:
        self._study = study
        self._lock = threading.Lock()
        self._ended: set[int] = set()
        self._place = (True, math.inf)
        self._best: TrialRecord | None = None

    def progress(self, untold: Collection[int] = ()) -> StudyProgress:
        """Read the study's new trials, and return its progress.

        Args:
            untold: numbers of trials that are not to be counted yet.
        """
        with self._lock:
            known = self._ended.union(untold)
            trials = self._study.get_trials(deepcopy=False)
            new = [t for t in trials if t.number not in known and t.state.is_finished()]
            self._ended.update(trial.number for trial in new)
            complete = [trial for trial in new if trial.state is TrialState.COMPLETE]
            ranked = [(place, one) for one in complete if (place := _rank(one)) is not None]
            place, best = min(ranked, key=lambda one: one[0], default=(self._place, None))
            if best is not None and (self._best is None or place < self._place):
                self._place, self._best = place, TrialRecord.of(best)
            return StudyProgress(finished=len(self._ended), best=self._best)


def _rank(trial: FrozenTrial) -> tuple[bool, float] | None:
    """Rank a complete trial, the lowest first; None if it has no value with a rank."""
    value: float | None = trial.values[0]
    if len(trial.values) > 1:
        scored = user_attribute(trial, "scored")
        value = scored["score"] if scored and is_ours("scored", scored) else None
    place = rank(value)
    infeasible = not is_feasible(constraints_of(trial.system_attrs))
    return None if place is None else (infeasible, place)
