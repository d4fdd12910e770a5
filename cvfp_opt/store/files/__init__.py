"""Files that studies leave beside the database: artifacts, checkpoints, networks, bug logs."""
