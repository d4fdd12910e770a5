"""Giving up trials that fall behind."""

from collections.abc import Callable, Mapping

from optuna.pruners import BasePruner, MedianPruner, NopPruner

PrunerFactory = Callable[[int, int], BasePruner]
"""(complete trials before anything is pruned, iterations before a trial may be) -> pruner."""


def median(num_startup_trials: int, num_warmup_steps: int) -> BasePruner:
    """Below the median of what the complete trials had after the same iteration."""
    return MedianPruner(n_startup_trials=num_startup_trials, n_warmup_steps=num_warmup_steps)


def none(num_startup_trials: int, num_warmup_steps: int) -> BasePruner:
    """Never."""
    return NopPruner()


PRUNERS: Mapping[str, PrunerFactory] = {"median": median, "none": none}
