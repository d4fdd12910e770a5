"""The value of each trial over one parameter at a time."""

import math
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cvfp_opt.report.figures.dimensions import Dimension
from cvfp_opt.report.figures.figure import BLUE, RED, air, plain, style
from cvfp_opt.report.figures.parallel import Parallel

COLUMNS = 2
PANEL_HEIGHT = 280


def draw(info: Parallel) -> go.Figure:
    """Draw a panel for each parameter, two in a row; the best trial is marked."""
    count = len(info.dimensions)
    rows = -(-count // COLUMNS)
    figure = make_subplots(
        rows=rows, cols=min(count, COLUMNS), vertical_spacing=0.3 / rows, horizontal_spacing=0.12
    )
    style(figure, height=PANEL_HEIGHT * rows + 40)
    for place, dimension in enumerate(info.dimensions):
        row, column = place // COLUMNS + 1, place % COLUMNS + 1
        add_slice(figure, info, dimension, row=row, col=column)
    figure.update_layout(showlegend=False)
    return figure


def draw_one(info: Parallel, dimension: Dimension) -> go.Figure:
    """Draw one panel alone, for pages that place them by their own width."""
    figure = make_subplots()
    style(figure, height=PANEL_HEIGHT)
    add_slice(figure, info, dimension)
    figure.update_layout(showlegend=False, margin={"t": 12})
    return figure


def add_slice(figure: go.Figure, info: Parallel, dimension: Dimension, **cell: Any) -> None:
    """Add a parameter's panel to a figure, in a cell (``row``, ``col``) of it."""
    there = [
        one for one in info.ranked if dimension.place(one.params.get(dimension.name)) is not None
    ]
    best = there[-1:]
    for chosen, look in (
        (there[:-1], {"size": 7, "color": BLUE, "opacity": 0.65}),
        (best, {"size": 14, "color": RED, "symbol": "star"}),
    ):
        values = [one.params[dimension.name] for one in chosen]
        figure.add_scatter(
            x=[plain(str(value)) for value in values] if dimension.choices else values,
            y=[one.value for one in chosen],
            text=[one.number for one in chosen],
            mode="markers",
            marker=look,
            hovertemplate="trial %{text}: %{x:.4g}, %{y:.4f}<extra></extra>".replace(
                ":.4g", "" if dimension.choices else ":.4g"
            ),
            **cell,
        )
    figure.update_xaxes(title=plain(dimension.label), **cell)
    if dimension.choices:
        order = [plain(choice) for choice in dimension.choices]
        figure.update_xaxes(type="category", categoryorder="array", categoryarray=order, **cell)
    elif dimension.log:
        ticks = _ticks(dimension.low, dimension.high)
        words = [f"{tick:g}" for tick in ticks]
        figure.update_xaxes(type="log", tickvals=ticks, ticktext=words, **cell)
    else:
        figure.update_xaxes(range=air((dimension.low, dimension.high)), **cell)
    worth = {one.value for one in there}
    if len(worth) == 1:
        figure.update_yaxes(range=air(worth), **cell)
    figure.update_yaxes(title=info.name, **cell)


def _ticks(low: float, high: float) -> list[float]:
    """List 1, 2 and 5 times the powers of ten within bounds, with some air."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    return [tick for tick in ticks if 0.9 * low <= tick <= 1.1 * high]
