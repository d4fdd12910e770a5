"""What died under the trials of all studies: takeovers, and trials that were given up."""

from sqlalchemy import Connection, func, select

from cvfp_opt.store.database.storage import Store, has_table
from cvfp_opt.store.database.tables import LEASES, TRIALS, USER_ATTRIBUTES

LOST = "lost"
"""The status of a trial that is given up because too many workers died with it."""

_TAKEOVERS = (
    select(TRIALS.c.study_id, func.sum(LEASES.c.attempts))
    .join(LEASES, LEASES.c.trial_id == TRIALS.c.trial_id)
    .where(LEASES.c.attempts > 0)
    .group_by(TRIALS.c.study_id)
)
_LOST = (
    select(TRIALS.c.study_id, func.count())
    .join(USER_ATTRIBUTES, USER_ATTRIBUTES.c.trial_id == TRIALS.c.trial_id)
    .where(
        TRIALS.c.state == "FAIL",
        USER_ATTRIBUTES.c.key == "status",
        USER_ATTRIBUTES.c.value_json == f'"{LOST}"',
    )
    .group_by(TRIALS.c.study_id)
)


def read_takeovers(connection: Connection, store: Store) -> dict[int, int]:
    """Count how often trials were taken over from dead workers, by the study's id."""
    if not has_table(store, LEASES):
        return {}
    return {study_id: int(count) for study_id, count in connection.execute(_TAKEOVERS)}


def read_lost(connection: Connection) -> dict[int, int]:
    """Count the trials that were given up because workers died, by the study's id."""
    return dict(map(tuple, connection.execute(_LOST)))
