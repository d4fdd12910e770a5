"""How the best score came about, in one line."""

import math
from collections.abc import Sequence

from cvfp_opt.report.summary import Summary

BLOCKS = "▁▂▃▄▅▆▇█"
# For a terminal or file that can't hold BLOCKS.
ASCII = "_.-=+*%#"
WIDTH = 40


def best_so_far(summary: Summary) -> list[float]:
    """The best value after each finished trial, by number, from the first complete one on.

    Of studies with several objectives of ours, the combined score; of others', nothing.
    """
    if summary.is_pareto and summary.record is None:
        return []
    better = max if summary.is_pareto or summary.directions[0] == "maximize" else min
    found: list[float] = []
    for trial in summary.trials:
        value = trial.value if trial.state == "complete" else None
        if value is not None and math.isfinite(value):
            found.append(better(found[-1], value) if found else value)
        elif trial.finished and found:
            found.append(found[-1])
    return found


def sparkline(values: Sequence[float], width: int = WIDTH, blocks: str = BLOCKS) -> str:
    """Values as blocks from the lowest to the highest; at most ``width`` of them.

    Of more values than fit, each block stands for the last one of its share.
    """
    if len(values) > width:
        values = [values[(i + 1) * len(values) // width - 1] for i in range(width)]
    if not values:
        return ""
    low, high = min(values), max(values)
    if low == high:
        return blocks[len(blocks) // 2] * len(values)
    top = len(blocks) - 1
    return "".join(blocks[round(top * (value - low) / (high - low))] for value in values)


def history_line(summary: Summary, *, width: int = WIDTH, blocks: str = BLOCKS) -> str:
    """The best score over the trials; "" before two of them are finished."""
    values = best_so_far(summary)
    if len(values) < 2:
        return ""
    digits = ".3f" if summary.record is not None else ".4g"
    ends = f"{values[0]:{digits}} to {values[-1]:{digits}}"
    return f"best so far: {sparkline(values, width, blocks)}  {ends}"
