"""How a search begins: what one does for all lanes, and whether the first trials all fail."""

import threading

from cvfp_opt.errors import SearchError
from cvfp_opt.store.queue.claims import REFUSED
from cvfp_opt.store.record.records import TrialRecord

MAX_FIRST_FAILURES = 5


class Beginning:
    """The first trials of a search: if all of them raise, so will the rest."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: int | None = 0  # None once a trial did not raise
        self._begun = False

    def is_first(self) -> bool:
        """Check if nobody has asked before: one lane does it for all."""
        with self._lock:
            begun, self._begun = self._begun, True
        return not begun

    def note(self, record: TrialRecord) -> None:
        """A trial ended. Raises SearchError if it was one too many."""
        if record.status == REFUSED:  # it was never run, and says nothing of the others
            return
        with self._lock:
            if self._failures is not None:
                self._failures = self._failures + 1 if record.status == "error" else None
            failures = self._failures
        if failures == MAX_FIRST_FAILURES:
            # a confirmation asks for what failed by itself
            more = "" if record.run else f" with --n-trials +{failures}"
            raise SearchError(
                f"the first {failures} trials all failed, the last one with: {record.reason}; "
                f"mend the cause, then type the same command again{more}"
            )
