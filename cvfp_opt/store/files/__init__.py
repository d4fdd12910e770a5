"""Files of studies beside the database: artifacts, checkpoints, networks, bug logs."""
