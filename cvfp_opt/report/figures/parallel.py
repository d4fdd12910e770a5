"""Every complete trial as a line through its parameters to its value."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go

from cvfp_opt.report.figures.dimensions import Dimension, Tried, dimensions, tried
from cvfp_opt.report.figures.figure import BLUE, GREEN, GREY, ORANGE, VIOLET, new_figure, plain
from cvfp_opt.report.rows import Cell, Rows
from cvfp_opt.report.words import number, parameter
from cvfp_opt.store.record.summary import Summary

# Trials are drawn in groups of about equal size, best on top: a thousand lines, each with a
# colour of its own, could not be distinguished and would take the page seconds.
GROUPS = 5
# From the worst to the best group, each to be seen on white and on near-black.
_COLOURS = (GREY, VIOLET, BLUE, GREEN, ORANGE)


@dataclass(frozen=True, kw_only=True)
class Parallel:
    """Complete trials by number; ``maximized``: a higher value is better."""

    dimensions: tuple[Dimension, ...] = ()
    trials: tuple[Tried, ...] = ()
    name: str = "score"
    maximized: bool = True
    missing: str = ""

    @property
    def ranked(self) -> list[Tried]:
        """The trials, worst first, as ``Summary.ranking`` has them."""
        sign = 1 if self.maximized else -1
        return sorted(self.trials, key=lambda t: (t.feasible, sign * t.value, -t.number))

    @property
    def groups(self) -> list[list[Tried]]:
        """The ranked trials in at most GROUPS parts of about equal size."""
        ranked, count = self.ranked, min(GROUPS, len(self.trials))
        cuts = [round(i * len(ranked) / count) for i in range(count + 1)] if count else []
        return [ranked[a:b] for a, b in pairwise(cuts)]

    @property
    def caption(self) -> str:
        if not self.trials:
            return ""
        best = self.groups[-1]
        words = []
        for dimension in self.dimensions:
            values = [t.params[dimension.name] for t in best if dimension.name in t.params]
            if not values:
                continue
            if dimension.choices:
                kinds = dict.fromkeys(str(value) for value in values)
                words.append(f"{dimension.name} {' or '.join(kinds)}")
            else:
                low, high = parameter(min(values), 3), parameter(max(values), 3)
                words.append(f"{dimension.name} {low}" + (f" to {high}" if high != low else ""))
        part = f"The best {len(best)} of {len(self.trials)} complete trials have"
        if len(best) == 1:
            part = f"The best of {len(self.trials)} complete trials has"
        if len(self.trials) == 1:
            part = "The only complete trial has"
        return f"{part} {', '.join(words)}."

    def rows(self) -> Rows:
        names = [dimension.name for dimension in self.dimensions]
        rows = (
            (t.number, t.value, *(_cell(t.params.get(name)) for name in names))
            for t in self.ranked[::-1]
        )
        return Rows(columns=("trial", self.name, *names), rows=tuple(rows))


def _cell(value: Any) -> Cell:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if value is None or is_number else str(value)


def parallel(summary: Summary) -> Parallel:
    """Collect the complete trials of a study with one value for each trial."""
    if summary.record is None and summary.is_pareto:
        return Parallel(missing="The study has several objectives: no one value to sort by.")
    found, axes = tried(summary), dimensions(summary)
    if not found or not axes:
        return Parallel(missing="No trial with searched parameters is complete yet.")
    return Parallel(
        dimensions=axes,
        trials=found,
        name="score" if summary.record else "value",
        maximized=summary.record is not None or summary.directions[0] == "maximize",
    )


def draw(info: Parallel) -> go.Figure:
    """Draw upright axes side by side, each from its lower to its upper bound, the value last."""
    values = [one.value for one in info.trials]
    value = Dimension(name=info.name, low=min(values), high=max(values))
    axes = [*info.dimensions, value]
    figure = new_figure(height=440)
    for place, group in enumerate(info.groups):
        xs: list[float | None] = []
        ys: list[float | None] = []
        for one in group:
            at = [d.place(one.params.get(d.name)) for d in info.dimensions]
            xs += [*range(len(axes)), None]
            ys += [*at, value.place(one.value), None]
        last = place == len(info.groups) - 1
        low, high = min(one.value for one in group), max(one.value for one in group)
        figure.add_scatter(
            x=xs,
            y=ys,
            mode="lines",
            name=f"{number(low)} to {number(high)}",
            line={
                "color": _COLOURS[place - len(info.groups)],
                "width": 2.5 if last else 1.0,
            },
            opacity=1.0 if last else 0.6,
            hoverinfo="skip",
        )
    for column, axis in enumerate(axes):
        low_end, high_end = axis.ends
        for end, text, anchor in ((0, low_end, "top"), (1, high_end, "bottom")):
            figure.add_annotation(
                x=column,
                y=end,
                text=plain(text),
                showarrow=False,
                yanchor=anchor,
                font={"size": 11},
            )
    figure.update_xaxes(
        tickvals=list(range(len(axes))),
        ticktext=[f"<br>{plain(axis.label)}" for axis in axes],
        range=[-0.35, len(axes) - 0.65],
        gridcolor="rgba(125,131,140,0.7)",
    )
    figure.update_yaxes(visible=False, range=[-0.08, 1.08])
    figure.update_layout(
        margin={"l": 8, "r": 8, "t": 64}, legend={"title": {"text": f"{info.name} "}}
    )
    return figure
