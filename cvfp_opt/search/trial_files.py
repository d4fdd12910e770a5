"""What a trial leaves beside its record when it ends: its curves, and one of the best networks."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cvfp_opt.model.network import ContextNetwork
from cvfp_opt.store.database.file_watch import FileGone
from cvfp_opt.store.files.artifact_stores import ArtifactStore
from cvfp_opt.store.files.trial_files import File, Networks, leave_curves
from cvfp_opt.store.record.records import TrialRecord

# Curves may take a hundredth of a worker's time: the next ones are written so many times later as
# the last ones took. Trials in between get theirs by ``dashboard --refresh``.
TIMES_COST = 100.0


@dataclass(kw_only=True)
class Leaving:
    """Writes files of trials that are about to end; no trial fails for it. For threads too.

    Attributes:
        artifacts: where to.
        draw: makes the files that show a trial's curves.
        notify: told, in a line, when it fails for the first time.
    """

    artifacts: ArtifactStore
    draw: Callable[[TrialRecord], Sequence[File]]
    notify: Callable[[str], None]
    _due: float = field(default=float("-inf"), init=False)
    _told: bool = field(default=False, init=False)

    def curves(self, trial: str, record: TrialRecord) -> dict[str, str]:
        """The system attributes that name a trial's curves; none where it is not due.

        Args:
            trial: its uuid, see store.record.identity.
            record: at least its number and what its passes left.
        """
        started = time.monotonic()
        if started < self._due:
            return {}
        named = self._tried(lambda: leave_curves(self.artifacts, trial, self.draw(record)))
        self._due = time.monotonic() + TIMES_COST * (time.monotonic() - started)
        return named

    def network(
        self,
        networks: Networks,
        trial: str,
        score: float,
        network: ContextNetwork,
        values: dict[str, Any],
    ) -> dict[str, str]:
        """The system attribute that names a trial's network, if it is among the best.

        Args:
            networks: of the study.
            trial: its uuid.
            score: of the trial.
            network: as training left it.
            values: what it belongs to, plain JSON.
        """

        def leave() -> dict[str, str]:
            if not networks.deserves(score):
                return {}
            state = network.state_dict().items()
            arrays = {n: t.detach().cpu().contiguous().numpy() for n, t in state}
            return networks.leave(trial, arrays, values)

        return self._tried(leave)

    def thin(self, networks: Networks) -> None:
        """Remove networks that are not among the best any more."""

        def thin() -> dict[str, str]:
            networks.thin()
            return {}

        self._tried(thin)

    def _tried(self, leave: Callable[[], dict[str, str]]) -> dict[str, str]:
        try:
            return leave()
        except FileGone:  # the trial says so itself
            return {}
        except Exception as error:  # whatever it is, the trial's result is worth more
            if not self._told:
                self.notify(f"a trial's curves or network can't be kept: {error}")
            self._told = True
            return {}
