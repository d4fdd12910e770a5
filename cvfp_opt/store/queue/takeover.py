"""Trials taken from whoever runs them: put back into the queue, or failed."""

from typing import Any

import optuna
from optuna.trial import TrialState
from sqlalchemy import Connection, select, update

from cvfp_opt.store.database.optuna_private import study_id_of
from cvfp_opt.store.database.rows import (
    PendingWrites,
    change_state,
    clear_reported,
    lock_study,
    write_pending,
)
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.tables import LEASES, TRIALS
from cvfp_opt.store.queue.leases import REVOKED


def enqueue_again(connection: Connection, trial_id: int, attempts: int) -> bool:
    """Put a running trial back into the queue; whoever ran it may not write any more."""
    if not change_state(connection, trial_id, TrialState.RUNNING, TrialState.WAITING):
        return False
    clear_reported(connection, trial_id)
    _revoke_lease(connection, trial_id, attempts=attempts)
    return True


def fail_trial(store: Store, study: optuna.Study, number: int, reason: str) -> bool:
    """Fail a running or enqueued trial, whoever runs it; False if it has ended already.

    Its worker is refused from here on, and drops the trial.
    """
    with store.engine.begin() as connection:
        lock_study(connection, study_id_of(study))
        row = connection.execute(
            select(TRIALS.c.trial_id, TRIALS.c.state).where(
                TRIALS.c.study_id == study_id_of(study), TRIALS.c.number == number
            )
        ).first()
        if row is None or row.state.is_finished():
            return False
        end_by_force(connection, row.trial_id, row.state, "failed by hand", reason)
    return True


def end_by_force(
    connection: Connection, trial_id: int, before: TrialState, status: str, reason: str
) -> None:
    """Fail a trial that another worker may have claimed."""
    if change_state(connection, trial_id, before, TrialState.FAIL):
        account = PendingWrites(user_attrs={"status": status, "reason": reason})
        write_pending(connection, trial_id, account)
        _revoke_lease(connection, trial_id)


def _revoke_lease(connection: Connection, trial_id: int, **values: Any) -> None:
    """Take the lease from its worker, whose writes are refused from here on."""
    connection.execute(
        update(LEASES)
        .where(LEASES.c.trial_id == trial_id)
        .values(epoch=LEASES.c.epoch + 1, expires=0.0, worker=REVOKED, **values)
    )
