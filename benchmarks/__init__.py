"""How fast, compared with what: old and new in turn in one process. ``python -m benchmarks``."""
