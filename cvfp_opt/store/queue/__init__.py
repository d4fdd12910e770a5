"""Who runs which trial: leases, claims, enqueued points, and results that wait for a database."""
