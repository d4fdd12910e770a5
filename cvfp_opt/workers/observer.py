"""The interface through which a search and its workers are shown."""

from typing import Protocol

from cvfp_opt.tuning.observer import SearchObserver


class EngineObserver(SearchObserver, Protocol):
    """Is notified of what a search and its workers do."""

    def workers_changed(self, count: int) -> None:
        """Show how many workers search from here on."""
