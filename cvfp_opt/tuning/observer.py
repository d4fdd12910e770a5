"""The interface through which a search is shown."""

from typing import Any, Protocol

from cvfp_opt.store.record.progress import StudyProgress
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.training.events import Event


class SearchObserver(Protocol):
    """Is notified of what a search does."""

    def notice(self, text: str) -> None:
        """Show the user a line."""

    def trial_started(self, number: int, params: dict[str, Any]) -> None:
        """Show that a trial begins."""

    def trial_event(self, number: int, event: Event) -> None:
        """Show progress within a trial; several may run at once."""

    def trial_finished(self, record: TrialRecord, progress: StudyProgress) -> None:
        """Show that a trial ended, and the study's progress."""

    def trial_dropped(self, number: int) -> None:
        """Show that another worker has taken a trial over."""
