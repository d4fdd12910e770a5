"""Who is told what a search does."""

from typing import Any, Protocol

from cvfp_opt.store.record.progress import StudyProgress
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.training.events import Event


class SearchObserver(Protocol):
    """Told what the search does."""

    def notice(self, text: str) -> None:
        """One line for the user."""

    def trial_started(self, number: int, params: dict[str, Any]) -> None:
        """A trial begins."""

    def trial_event(self, number: int, event: Event) -> None:
        """Progress within a trial; several may run at once."""

    def trial_finished(self, record: TrialRecord, progress: StudyProgress) -> None:
        """A trial ended; so the study stands now."""

    def trial_dropped(self, number: int) -> None:
        """A trial is run by somebody else now."""
