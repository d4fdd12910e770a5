"""What a search shows of a study while it runs; whoever starts the search says how."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import optuna

from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.files.trial_files import File
from cvfp_opt.store.record.records import TrialRecord


class KeepPage(Protocol):
    """Keeps a study's page in the dashboard up to date."""

    def __call__(self, store: Store, study: optuna.Study, *, last: bool) -> None:
        """Write the page if that is due; the last time in any case."""


@dataclass(frozen=True, kw_only=True)
class Views:
    """Make what people look at.

    Attributes:
        draw_curves: makes the files that show a trial's curves.
        keep_page: keeps the study's page in the dashboard up to date.
    """

    draw_curves: Callable[[TrialRecord], Sequence[File]]
    keep_page: KeepPage
