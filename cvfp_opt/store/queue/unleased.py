"""Trials that run without a lease: another program runs them, stock Optuna for instance."""

import optuna
from optuna.trial import TrialState

from cvfp_opt.escaping import quoted
from cvfp_opt.store.database.optuna_private import study_id_of, trial_id_of
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.queue.leases import FORMER_LEASE, Lease, is_former_lease, read_leases


def is_unleased(lease: Lease | None) -> bool:
    """Check whether no worker of this program runs a running trial that has this lease, or none.

    Nobody can tell whether another one does: so it is never taken over.
    """
    return lease is None or lease.is_revoked


def unleased_lines(store: Store, study: optuna.Study) -> list[str]:
    """Say which trials no worker takes over, although they may be nobody's, and what to type."""
    running = [
        trial
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        if not is_former_lease(trial.system_attrs.get(FORMER_LEASE))
    ]
    if not running:
        return []
    with store.engine.connect() as connection:
        leases = read_leases(connection, study_id_of(study))
    of = f"--study-name {quoted(study.study_name)}{store.location.option}"
    return [
        f"trial {trial.number} runs without a lease: another program runs it, or was killed while "
        "it did. It counts towards the total, and is not taken over; if nobody runs it, type "
        f"`cvfp-opt trial fail {trial.number} {of}`"
        for trial in running
        if is_unleased(leases.get(trial_id_of(trial)))
    ]
