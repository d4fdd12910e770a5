"""Time variants of the same work in turn, so that a busy machine slows them all alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Variant:
    """The times of one way of doing the work.

    Attributes:
        name: name of the variant.
        seconds: one entry a repeat, divided by ``per``.
        ratios: first variant's seconds / this one's, repeat by repeat.
    """

    name: str
    seconds: list[float]
    ratios: list[float]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, with median and spread."""
        return {
            "name": self.name,
            "median_seconds": statistics.median(self.seconds),
            "fastest_seconds": min(self.seconds),
            "slowest_seconds": max(self.seconds),
            "ratio": statistics.median(self.ratios),
            "lowest_ratio": min(self.ratios),
            "highest_ratio": max(self.ratios),
            "repeats": len(self.seconds),
        }


@dataclass(frozen=True, kw_only=True)
class Result:
    """A row of the benchmark.

    Attributes:
        row: its key.
        title: what was done, with sizes.
        unit: what ``per`` counts, "" for the whole.
        variants: the first one is what the others are compared with.
        notes: what a reader has to know.
    """

    row: str
    title: str
    unit: str
    variants: list[Variant]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "row": self.row,
            "title": self.title,
            "unit": self.unit,
            "variants": [variant.to_dict() for variant in self.variants],
            "notes": list(self.notes),
        }


def in_turn(
    variants: Mapping[str, tuple[Callable[[], object], float]], *, repeats: int, warm: bool = True
) -> list[Variant]:
    """Run the variants one after the other, ``repeats`` times round.

    Args:
        variants: by name: what to run, and how many units it does.
        warm: whether each runs once before (to compile, and to fill caches).
    """

    def timed(run: Callable[[], object], units: float) -> float:
        started = time.perf_counter()
        run()
        return (time.perf_counter() - started) / units

    timers = {name: partial(timed, run, units) for name, (run, units) in variants.items()}
    return taken_in_turn(timers, repeats=repeats, warm=warm)


def taken_in_turn(
    variants: Mapping[str, Callable[[], float]], *, repeats: int, warm: bool = True
) -> list[Variant]:
    """Run variants that measure their own time in turn, ``repeats`` times round.

    Args:
        variants: by name: what to run; it gives the seconds of a unit.
        warm: whether each runs once before.
    """
    if warm:
        for run in variants.values():
            run()
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(repeats):
        for name, run in variants.items():
            seconds[name].append(run())
    first = next(iter(seconds.values()))
    return [
        Variant(
            name=name,
            seconds=spent,
            ratios=[old / new for old, new in zip(first, spent, strict=True)],
        )
        for name, spent in seconds.items()
    ]
