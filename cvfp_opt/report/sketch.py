"""A small picture of a study for a notebook: the value of each trial, and the best so far.

Plotly does not draw it: its script has 5 MB, and a notebook keeps what it shows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cvfp_opt.report.figures.history import history
from cvfp_opt.report.rows import finite
from cvfp_opt.store.record.summary import Summary

# The grid that marks are put on. Marks that meet are one, so that a picture of 100 000 trials has
# 0.3 MB and not 3.
WIDTH, HEIGHT = 400, 100

# What the marks mean, by the fields of Sketch.
KEY: Mapping[str, str] = {
    "complete": "dots: complete trials",
    "pruned": "squares: pruned trials, as last reported",
    "untrained": "dashes: untrained nets",
    "best": "line: the best so far",
}


@dataclass(frozen=True, kw_only=True)
class Sketch:
    """A picture in words and lines; paths are SVG's, on WIDTH x HEIGHT, y down.

    Attributes:
        caption: what it shows.
        complete, pruned, untrained: a mark for each trial; "" if there is none.
        best: the best value so far, as steps.
        low, high: the values at the bottom and the top.
        first, last: numbers of the trials at the left and the right.
    """

    caption: str
    complete: str
    pruned: str
    untrained: str
    best: str
    low: str
    high: str
    first: int
    last: int

    @property
    def key(self) -> str:
        """What the marks that there are mean."""
        return "; ".join(words for name, words in KEY.items() if getattr(self, name))


def sketch(summary: Summary) -> Sketch | None:
    """Draw a study's trials in turn; None where there is no value, or a trial has several."""
    info = history(summary)
    best = [(a.number, at) for a in info.attempts if (at := finite(a.best)) is not None]
    values = [(a.number, a.state, a.value) for a in info.attempts if a.value is not None]
    untrained = [(a.number, a.untrained) for a in info.attempts if a.untrained is not None]
    heights = [*(at for *_, at in values), *(at for _, at in untrained), *(at for _, at in best)]
    if not heights:
        return None
    low, high = min(heights), max(heights)
    first, last = info.attempts[0].number, info.attempts[-1].number

    def place(number: int, value: float) -> tuple[int, int]:
        x = (number - first) / (last - first) if last > first else 0.5
        # each divided first: their difference may be too large for a number
        room = high / 2 - low / 2
        y = (value / 2 - low / 2) / room if room > 0.0 else 0.5
        return round(x * WIDTH), round((1.0 - y) * HEIGHT)

    digits = ".3f" if summary.record is not None else ".4g"
    return Sketch(
        caption=info.caption,
        complete=_marks(place(n, at) for n, state, at in values if state == "complete"),
        pruned=_marks(place(n, at) for n, state, at in values if state == "pruned"),
        untrained=_marks((place(n, at) for n, at in untrained), length=6),
        best=_steps([place(n, at) for n, at in best]),
        low=f"{low:{digits}}",
        high=f"{high:{digits}}",
        first=first,
        last=last,
    )


def _marks(places: Iterable[tuple[int, int]], length: int = 0) -> str:
    """Write a horizontal line for each place; one without length is a dot, by its ends."""
    return "".join(f"M{x - length // 2} {y}h{length}" for x, y in dict.fromkeys(places))


def _steps(places: list[tuple[int, int]]) -> str:
    """Write steps from place to place, and on to the right edge."""
    if not places:
        return ""
    path, (x, height) = f"M{places[0][0]} {places[0][1]}", places[0]
    for x, y in places[1:]:
        if y != height:
            path, height = f"{path}H{x}V{y}", y
    return f"{path}H{max(x, WIDTH)}"
