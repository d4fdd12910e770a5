"""Several workers of one study, all of them in this process."""

from dataclasses import replace

import optuna

from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.queue.claims import ClaimedTrial, Claims
from cvfp_opt.store.queue.leases import Worker
from cvfp_opt.store.queue.trial_writer import TrialWriter


class Workers:
    """Makes them, and remembers what they were told."""

    def __init__(self, store: Store, study: optuna.Study) -> None:
        self.store, self.study = store, study
        self.notices: list[str] = []

    def add(self, **changes: object) -> Claims:
        """A worker; ``changes`` to who it is, or how long its leases last."""
        seconds = changes.pop("seconds", 60.0)
        return Claims(
            store=self.store,
            study=self.study,
            seed=7,
            worker=replace(Worker.of_this_process(), **changes),  # type: ignore[arg-type]
            seconds=seconds,  # type: ignore[arg-type]
            notify=self.notices.append,
        )


def take(claims: Claims, total: int = 100) -> TrialWriter:
    """Claim a trial that is sure to be there."""
    claimed = claims.claim(total)
    assert isinstance(claimed, ClaimedTrial)
    return TrialWriter(claims=claims, claimed=claimed)
