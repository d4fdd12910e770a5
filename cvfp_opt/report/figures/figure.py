"""What all figures share: the shape of what they show, and how they look."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from typing import Any, Protocol

import plotly.graph_objects as go

Cell = str | float | None

# On white and on near-black these have a contrast of 3 : 1 or more, as WCAG wants of graphics.
BLUE, ORANGE, GREEN, VIOLET, RED, GREY = (
    "#2b7bd6",
    "#d9660a",
    "#2c9458",
    "#8b5fd9",
    "#d43f5e",
    "#7d838c",
)
SERIES = (BLUE, ORANGE, GREEN, VIOLET, RED)
# Not by colour alone: each trial of the best five also has a dash and a marker of its own.
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
MARKERS = ("circle", "square", "diamond", "triangle-up", "cross")
# How many of the best trials a figure tells apart.
BEST = 5


@dataclass(frozen=True, kw_only=True)
class Rows:
    """A figure as a table.

    Attributes:
        columns: their names.
        rows: cells in the order of the columns; None where there is no figure.
        percent: names of columns whose numbers are rates in [0, 1].
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    percent: frozenset[str] = frozenset()

    def words(self) -> tuple[tuple[str, ...], ...]:
        """Rates in percent, numbers with four digits, nothing as a dash."""
        percent = [name in self.percent for name in self.columns]
        return tuple(tuple(map(_word, row, percent)) for row in self.rows)


def _word(cell: Cell, percent: bool) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, str):
        return cell
    if percent:
        return f"{cell:.1%}"
    return str(cell) if isinstance(cell, int) else f"{cell:.4g}"


class Info(Protocol):
    """What a figure shows, before it is drawn."""

    @property
    def missing(self) -> str:
        """Why there is nothing to draw, as a sentence; empty if there is."""

    @property
    def caption(self) -> str:
        """What is to be seen, in a sentence or two: also for those who do not see it."""

    def rows(self) -> Rows:
        """The same as a table."""


def finite(value: Any) -> float | None:
    """A number that can be drawn, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return float(value)


def all_finite(values: Iterable[Any]) -> bool:
    """Whether each of the values is a number that can be drawn."""
    return all(finite(value) is not None for value in values)


def listed(names: Iterable[Any]) -> str:
    """``1, 2 and 3``."""
    words = [str(name) for name in names]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def new_figure(*, height: int = 420) -> go.Figure:
    """An empty figure in the common look: no background of its own, so that any page will do."""
    figure = go.Figure()
    style(figure, height=height)
    return figure


def style(figure: go.Figure, *, height: int) -> None:
    """Give a figure the common look; its width is its container's."""
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 64, "r": 16, "t": 36, "b": 56},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13, "color": GREY},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"},
        hoverlabel={"align": "left"},
        hovermode="closest",
    )
    figure.update_xaxes(automargin=True, gridcolor="rgba(125,131,140,0.22)", zeroline=False)
    figure.update_xaxes(title_standoff=8)
    figure.update_yaxes(automargin=True, gridcolor="rgba(125,131,140,0.22)", zeroline=False)


def empty_figure(missing: str) -> go.Figure:
    """A figure that says why it is empty."""
    figure = new_figure(height=160)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.add_annotation(text=plain(missing), showarrow=False, font={"size": 15})
    return figure


def plain(text: str) -> str:
    """Text for plotly, which takes some HTML in what it draws: with none."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
