"""The events that a trainer reports while it works; it does not know who observes them.

An observer is any function of one event. It may raise to stop the run (a stop by ^C does);
the trainer lets that through and keeps nothing half done.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from cvfp_opt.training.result import IterationMetrics


class Phase(StrEnum):
    """Phases of an iteration; the values are the user's words."""

    BASELINE = "untrained baseline"
    PASS = "reading"
    TRAINING = "training"
    AUDIT = "audit"
    PROBE = "probe"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Work done within one phase of one iteration, in tokens."""

    iteration: int
    phase: Phase
    done: int
    total: int


@dataclass(frozen=True, kw_only=True)
class IterationFinished:
    """A pass was read and measured."""

    metrics: IterationMetrics


@dataclass(frozen=True, kw_only=True)
class IterationTrained:
    """An iteration's training is done: ``metrics`` now hold its weight and losses."""

    metrics: IterationMetrics


Event = Progress | IterationFinished | IterationTrained
Observer = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Observe nothing."""
