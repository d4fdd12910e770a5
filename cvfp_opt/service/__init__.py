"""The service: what `cvfp-opt serve` answers."""
