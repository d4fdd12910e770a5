"""Benchmarks: old and new ways of the same work, in turn in one process (python -m benchmarks)."""
