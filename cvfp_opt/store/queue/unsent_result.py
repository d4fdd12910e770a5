"""The file of an unsent result: its content, checked when it is read."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from cvfp_opt.disk import read_file
from cvfp_opt.errors import StorageError
from cvfp_opt.store.database.rows import PendingWrites
from cvfp_opt.store.queue.claims import ClaimedTrial
from cvfp_opt.store.record.identity import TrialIdentity

FORMAT = 1

NO_RESULT = "not an unsent result, left alone"

_LARGEST_ID = 2**63 - 1
# Errors over JSON of another shape, a million levels deep or with the number 1e999.
_MALFORMED = (
    *(ArithmeticError, AttributeError, LookupError),
    *(RecursionError, TypeError, ValueError),
)


@dataclass(frozen=True, kw_only=True)
class Unsent:
    """The end of a trial, and the lease under which it may be written, as plain JSON.

    Attributes:
        study: identity of the study, StudyRecord.identity.
        trial_id, number, epoch, birth: of the claimed trial; ``birth`` is its identity.
        state: Optuna's, by name.
        values: of the objectives; None if there are none.
        intermediate: by step.
        user_attrs, system_attrs: of the trial.
        forget: keys of system attributes that are of use only while it runs.
        worker: who had claimed it; "" in files of older versions.
        database: where it was claimed, ``Location.where``; "" in files of older versions.
        format: of the file.
    """

    study: str
    trial_id: int
    number: int
    epoch: int
    birth: dict[str, Any]
    state: str
    values: list[float] | None
    intermediate: dict[str, float] = field(default_factory=dict)
    user_attrs: dict[str, Any] = field(default_factory=dict)
    system_attrs: dict[str, Any] = field(default_factory=dict)
    forget: list[str] = field(default_factory=list)
    worker: str = ""
    database: str = ""
    format: int = FORMAT

    def claimed(self) -> ClaimedTrial:
        """Make the claim of the worker that kept the result."""
        return ClaimedTrial(
            trial_id=self.trial_id,
            number=self.number,
            epoch=self.epoch,
            identity=TrialIdentity(**self.birth),
            attempts=0,
            new=False,
        )

    def pending(self) -> PendingWrites:
        """Make the values of the trial that were not written."""
        return PendingWrites(
            intermediate={int(step): float(value) for step, value in self.intermediate.items()},
            user_attrs=dict(self.user_attrs),
            system_attrs=dict(self.system_attrs),
        )

    def check(self) -> None:
        """Raise one of _MALFORMED if it is not as it was written."""
        if self.format != FORMAT:
            raise ValueError(f"format {self.format}, this version has {FORMAT}")
        texts = (self.study, self.birth["uuid"], self.worker, self.database, *self.forget)
        numbers = (self.trial_id, self.number, self.epoch)
        if not all(isinstance(one, str) for one in texts):
            raise TypeError("names that are no text")
        if not all(isinstance(one, int) and 0 <= one <= _LARGEST_ID for one in numbers):
            raise TypeError("numbers that are none")
        state, values = TrialState[self.state], [float(one) for one in self.values or ()]
        if not state.is_finished() or (state is TrialState.COMPLETE and not values):
            raise ValueError(f"state {state.name} and values {values}")
        self.claimed()
        self.pending()


def read_unsent(path: Path) -> Unsent:
    """Read an unsent result.

    Raises:
        StorageError: it is none, or cannot be read.
    """
    try:
        unsent = Unsent(**json.loads(read_file(path, error=StorageError)))
        unsent.check()
    except _MALFORMED as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise StorageError(f"{path}: {NO_RESULT}: {what}") from None
    return unsent
