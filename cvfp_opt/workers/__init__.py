"""Who runs a search: worker processes on this machine. Starts and restarts; decides nothing."""
