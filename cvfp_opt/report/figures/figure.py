"""The parts that all figures share: the shape of what they show, and how they look."""

from collections.abc import Iterable
from html import escape
from typing import Protocol

import plotly.graph_objects as go

from cvfp_opt.report.rows import Rows

# Colours with a contrast of 3 : 1 or more on white and on near-black, as WCAG wants of graphics.
BLUE, ORANGE, GREEN, VIOLET, RED, GREY = (
    "#2b7bd6",
    "#d9660a",
    "#2c9458",
    "#8b5fd9",
    "#d43f5e",
    "#7d838c",
)
SERIES = (BLUE, ORANGE, GREEN, VIOLET, RED)
# Each of the best five trials has a dash and a marker too, for those who see no colour.
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
MARKERS = ("circle", "square", "diamond", "triangle-up", "cross")
# Pixels that a title takes.
_TITLE = 36
# How many of the best trials a figure tells apart.
BEST = 5


class Info(Protocol):
    """The content of a figure, before it is drawn."""

    @property
    def missing(self) -> str:
        """Why there is nothing to draw, as a sentence; empty if there is."""

    @property
    def caption(self) -> str:
        """A sentence or two on what is to be seen, also for those who cannot see it."""

    def rows(self) -> Rows:
        """Return the same as a table."""


def new_figure(*, height: int = 420) -> go.Figure:
    """Make an empty figure in the common look: with no background of its own, for any page."""
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


def titled(figure: go.Figure, title: str) -> go.Figure:
    """Put a title above all that a figure has, in room of its own; the figure becomes higher."""
    layout = figure.layout
    return figure.update_layout(
        title={
            "text": f"<b>{plain(title)}</b>",
            "font": {"size": 15},
            "x": 0,
            "xref": "container",
            "xanchor": "left",
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "pad": {"t": 10, "l": 16},
        },
        margin_t=(layout.margin.t or 0) + _TITLE,
        height=(layout.height or 0) + _TITLE,
    )


def air(values: Iterable[float], *, least: float = 0.02) -> list[float]:
    """Choose an axis's range with some room around its values, a single one in the middle."""
    known = list(values)
    low, high = min(known), max(known)
    room = max(0.06 * (high - low), least * max(abs(low), abs(high), least))
    return [low - room, high + room]


def empty_figure(missing: str) -> go.Figure:
    """Make a figure that says why it is empty."""
    figure = new_figure(height=160)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    figure.add_annotation(text=plain(missing), showarrow=False, font={"size": 15})
    return figure


def plain(text: str) -> str:
    """Escape text for plotly, which takes some HTML in what it draws."""
    return escape(text, quote=False)
