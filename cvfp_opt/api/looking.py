"""The readable side of a study, wherever its snapshot comes from."""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cvfp_opt.api.required import require_seconds, require_text, require_whole, texts
from cvfp_opt.api.trial import Trial
from cvfp_opt.errors import CvfpOptError, StudyError
from cvfp_opt.store.record.summary import Summary

if TYPE_CHECKING:
    from cvfp_opt.api.plan import Plan
    from cvfp_opt.report.column_table import Table

# Seconds between two looks of one who waits, and looks in a row that must find it at rest.
_LOOK_SECONDS, _LOOKS_AT_REST = 1.0, 2


class ReadableStudy(ABC):
    """A study that can be looked at.

    Attributes:
        name: the study's name.
    """

    name: str

    @abstractmethod
    def look(self) -> Summary:
        """Take a snapshot of the study, from which all reports start."""

    @property
    @abstractmethod
    def place(self) -> Any:
        """Its database and artifacts."""

    @abstractmethod
    def enqueue(self, *, retry: int) -> tuple[Trial, ...]:
        """Enqueue the point of a finished trial again."""

    @abstractmethod
    def fail(self, number: int, reason: str = "ended by hand") -> None:
        """End a running or waiting trial as failed."""

    @abstractmethod
    def _is_busy(self) -> bool:
        """Check whether trials run, wait, or are to be begun by a worker."""

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until no trial runs or waits, and no worker is to begin one, whoever runs them.

        Args:
            timeout: seconds; None for as long as it takes.

        Returns:
            Whether it came to rest in that time.
        """
        if timeout is not None:
            require_seconds("timeout", timeout)
        end = None if timeout is None else time.monotonic() + timeout
        at_rest = 0
        while True:
            at_rest = 0 if self._is_busy() else at_rest + 1
            if at_rest == _LOOKS_AT_REST:
                return True
            if end is not None and time.monotonic() >= end:
                return False
            time.sleep(_LOOK_SECONDS)

    @property
    def best(self) -> Trial:
        """The best complete trial. Raises StudyError if there is none."""
        from cvfp_opt.report.best import require_best

        summary = self.look()
        return Trial(self, summary, require_best(summary))

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials, by number."""
        summary = self.look()
        return tuple(Trial(self, summary, one) for one in summary.trials)

    @property
    def ranking(self) -> tuple[Trial, ...]:
        """Complete trials, best first; with two objectives those on the Pareto front."""
        summary = self.look()
        return tuple(Trial(self, summary, one) for one in summary.ranking)

    def trial(self, number: int) -> Trial:
        """Get a trial by its number. Raises StudyError if there is none."""
        require_whole("number", number, 0)
        summary = self.look()
        return Trial(self, summary, summary.trial(number))

    def __len__(self) -> int:
        return len(self.look().trials)

    def table(
        self,
        *,
        sort: str | None = None,
        reverse: bool = False,
        state: str | Sequence[str] = (),
        where: str | Sequence[str] = (),
        limit: int | None = None,
    ) -> "Table":
        """List trials, a row each, as columns that pandas and polars take as they are.

        Args:
            sort: a column; "score" for best first.
            reverse: the other way round.
            state: states of the trials wanted; all by default.
            where: conditions that the trials fulfil, for instance ``"dist_reg_weight>0.5"``.
            limit: the first so many.

        Raises:
            StudyError: no such column or state, or no condition.

        Example:
            ``pandas.DataFrame(study.table(sort="score", state="complete"))``
        """
        from cvfp_opt.report.trial_list import trial_table

        if sort is not None:
            require_text("sort", sort)
        if limit is not None:
            require_whole("limit", limit, 1)
        return trial_table(
            self.look(),
            sort=sort,
            reverse=reverse,
            states=texts("state", state),
            where=texts("where", where),
            limit=limit,
        )

    def plan(self) -> "Plan":
        """Give its own definition as a plan.

        Raises:
            StudyError: another program's study, which has none.
        """
        from cvfp_opt.api.plan import define
        from cvfp_opt.store.record.definition_sections import completed
        from cvfp_opt.store.record.records import Unread

        summary = self.look()
        if summary.record is None:
            why = summary.note or Unread.FOREIGN.sentence
            raise StudyError(f"study {self.name!r} has no definition: {why}")
        return define(completed(summary.record.definition), name=self.name)

    def _repr_html_(self) -> str | None:
        from cvfp_opt.report.html import study_html

        summary = self._seen()
        return study_html(summary) if summary else None

    def _seen(self) -> Summary | None:
        """Take a snapshot to be shown; None if study or database are away, which is no error."""
        from cvfp_opt.store.database.retry import DATABASE_ERRORS

        try:
            return self.look()
        except (CvfpOptError, *DATABASE_ERRORS):
            return None
