"""All figures by name. A new one is a module beside this one and a line here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from cvfp_opt.report.figures import (
    confirmed,
    curves,
    history,
    importance,
    parallel,
    slices,
    thresholds,
    tradeoff,
)
from cvfp_opt.report.figures.figure import Info, empty_figure
from cvfp_opt.store.record.summary import Summary


@dataclass(frozen=True, kw_only=True)
class FigureKind:
    """A figure.

    Attributes:
        title: as a heading.
        info: what it shows of a study; needs no plotly.
        drawing: the picture of what ``info`` found, where it found something.
    """

    title: str
    info: Callable[[Summary], Info]
    drawing: Callable[..., go.Figure]

    def draw(self, info: Info, **how: Any) -> go.Figure:
        """Draw what ``info`` found, or why there is nothing."""
        return empty_figure(info.missing) if info.missing else self.drawing(info, **how)


KINDS: Mapping[str, FigureKind] = {
    "pareto": FigureKind(title="The trade-off", info=tradeoff.trade_off, drawing=tradeoff.draw),
    "confirmation": FigureKind(
        title="Scores on fresh seeds", info=confirmed.confirmed, drawing=confirmed.draw
    ),
    "history": FigureKind(title="Score of each trial", info=history.history, drawing=history.draw),
    "thresholds": FigureKind(
        title="Convergence at any threshold", info=thresholds.thresholds, drawing=thresholds.draw
    ),
    "curves": FigureKind(title="From pass to pass", info=curves.curves, drawing=curves.draw),
    "importance": FigureKind(
        title="Which parameters matter", info=importance.importance, drawing=importance.draw
    ),
    "parallel": FigureKind(
        title="All trials through all parameters", info=parallel.parallel, drawing=parallel.draw
    ),
    "slices": FigureKind(
        title="One parameter at a time", info=parallel.parallel, drawing=slices.draw
    ),
}
