"""Files that a trial keeps beside its record when it ends: its curves, and a good network."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.redaction import redacted
from cvfp_opt.store.database.file_watch import FileGone
from cvfp_opt.store.database.retry import driver_words
from cvfp_opt.store.files.trial_files import File, Networks, write_curves
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.tuning.snapshot_arrays import arrays_of

# Curves may cost 1 % of a worker's time: after t seconds of writing, the next ones are written
# 100 t later. Trials in between get theirs by ``dashboard --refresh``.
TIMES_COST = 100.0


@dataclass(kw_only=True)
class TrialFiles:
    """Writes files of trials that are about to end; no trial fails for it. For threads too.

    Attributes:
        networks: the best ones of the study, and the store of artifacts that curves go to as well.
        draw: makes the files that show a trial's curves.
        notify: given a line when it fails for the first time.
    """

    networks: Networks
    draw: Callable[[TrialRecord], Sequence[File]]
    notify: Callable[[str], None]
    _due: float = field(default=float("-inf"), init=False)
    _notified: bool = field(default=False, init=False)

    def keep_curves(self, trial: str, record: TrialRecord) -> dict[str, str]:
        """Write a trial's curves if that is due; return the system attributes that name them.

        Args:
            trial: its uuid, see store.record.identity.
            record: at least its number and its iterations.
        """
        started = time.monotonic()
        if started < self._due:
            return {}
        store = self.networks.artifacts
        named = self._tried(lambda: write_curves(store, trial, self.draw(record)))
        self._due = time.monotonic() + TIMES_COST * (time.monotonic() - started)
        return named

    def keep_network(
        self,
        trial: str,
        score: float,
        network: ContextNetwork,
        values: dict[str, Any],
        *,
        feasible: bool,
    ) -> dict[str, str]:
        """Write a trial's network if it is among the best; return the attribute that names it.

        Args:
            trial: its uuid.
            score: of the trial.
            network: as training left it.
            values: what it belongs to, plain JSON.
            feasible: whether the trial violates no constraint.
        """

        def keep() -> dict[str, str]:
            if not self.networks.is_kept(score, feasible=feasible):
                return {}
            return self.networks.write(trial, arrays_of(network.state_dict()), values)

        return self._tried(keep)

    def thin(self) -> None:
        """Remove networks that are not among the best any more."""

        def thin() -> dict[str, str]:
            self.networks.thin()
            return {}

        self._tried(thin)

    def _tried(self, write: Callable[[], dict[str, str]]) -> dict[str, str]:
        try:
            return write()
        except FileGone:  # the trial says so itself
            return {}
        except Exception as error:  # whatever it is, the trial's result is worth more
            if not self._notified:
                words = redacted(driver_words(error))
                self.notify(f"a trial's curves or network can't be kept: {words}")
            self._notified = True
            return {}
