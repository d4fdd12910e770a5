"""Limits of a worker's patience."""

from dataclasses import dataclass

from cvfp_opt.store.database.retry import PATIENCE_SECONDS
from cvfp_opt.store.queue.claims import MAX_RETRIES
from cvfp_opt.store.queue.leases import LEASE_SECONDS

# A death may cost so many seconds of work, and the iteration that it breaks off.
CHECKPOINT_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of a worker's patience. No part of the study: its workers may differ.

    Attributes:
        lease_seconds: after so long without a sign of life a worker's trial goes to another one.
        patience_seconds: how long a database that does not answer is waited for.
        max_retries: how often a trial is taken over from workers that died, before it is lost.
        checkpoint_seconds: between two checkpoints of a trial; 0 for one after each iteration.
        artifacts: where checkpoints lie; None for the usual place.
    """

    lease_seconds: float = LEASE_SECONDS
    patience_seconds: float = PATIENCE_SECONDS
    max_retries: int = MAX_RETRIES
    checkpoint_seconds: float = CHECKPOINT_SECONDS
    artifacts: str | None = None
