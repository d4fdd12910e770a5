"""Runs without a study: one training, and the checks of the original report."""
