"""The queue of trials: leases, claims, enqueued points, and results not yet in the database."""
