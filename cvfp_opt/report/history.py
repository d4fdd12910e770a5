"""The best score so far over the trials, in one line."""

import math
from collections.abc import Sequence

from cvfp_opt.store.record.records import TrialRecord, best_of, rank
from cvfp_opt.store.record.summary import Summary

BLOCKS = "▁▂▃▄▅▆▇█"
# Blocks for a terminal or file that cannot hold BLOCKS.
ASCII = "_.-=+*%#"
WIDTH = 40


def best_so_far(summary: Summary) -> list[float]:
    """List the best value after each finished trial, from the first complete one on.

    Of studies with several objectives of ours, the combined score; of others', nothing.
    """
    if summary.is_pareto and summary.record is None:
        return []
    ended = [trial for trial in summary.trials if trial.finished]
    bests = running_best(ended, maximized=summary.is_maximized)
    return [value for value in bests if value is not None]


def running_best(trials: Sequence[TrialRecord], *, maximized: bool) -> list[float | None]:
    """List the best value after each trial; None before the first complete one.

    Feasible trials count alone from the first one on, as for the best trial of a study.
    """
    found: list[float | None] = []
    best: float | None = None
    feasible = False
    for trial in trials:
        ranked = trial.state == "complete" and rank(trial.value) is not None
        if ranked and trial.feasible >= feasible:
            before = best if trial.feasible == feasible else None
            best = best_of([before, trial.value], maximized=maximized)
            feasible = trial.feasible
        found.append(best)
    return found


def sparkline(values: Sequence[float], width: int = WIDTH, blocks: str = BLOCKS) -> str:
    """Draw values as blocks from the lowest to the highest; at most ``width`` of them.

    Of more values than fit, each block stands for the last one of its share. What is infinite is
    as high, or low, as the rest goes.
    """
    if len(values) > width:
        values = [values[(i + 1) * len(values) // width - 1] for i in range(width)]
    if not values:
        return ""
    finite = [value for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    if min(values) == max(values):
        return blocks[len(blocks) // 2] * len(values)
    top = len(blocks) - 1

    def place(value: float) -> int:
        if value >= high:
            return top
        # each divided first: their difference may be too large for a number
        return 0 if value <= low else round(top * (value / 2 - low / 2) / (high / 2 - low / 2))

    return "".join(blocks[place(value)] for value in values)


def history_line(summary: Summary, *, width: int = WIDTH, blocks: str = BLOCKS) -> str:
    """Write the best score over the trials; "" before two of them are finished."""
    values = best_so_far(summary)
    if len(values) < 2:
        return ""
    digits = ".3f" if summary.record is not None else ".4g"
    ends = f"{values[0]:{digits}} to {values[-1]:{digits}}"
    return f"best so far: {sparkline(values, width, blocks)}  {ends}"
