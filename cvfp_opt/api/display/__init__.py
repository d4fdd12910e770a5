"""What shows a search or a training run while it runs: on a terminal, in a log."""
