"""All figures by name. A new one is a module beside this one and a line here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

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
from cvfp_opt.report.figures.figure import Info
from cvfp_opt.store.record.summary import Summary


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A figure.

    Attributes:
        title: as a heading.
        info: what it shows of a study; needs no plotly.
        draw: the picture of what ``info`` found.
    """

    title: str
    info: Callable[[Summary], Info]
    draw: Callable[..., go.Figure]


KINDS: Mapping[str, Kind] = {
    "pareto": Kind(title="The trade-off", info=tradeoff.trade_off, draw=tradeoff.draw),
    "confirmation": Kind(
        title="Scores on fresh seeds", info=confirmed.confirmed, draw=confirmed.draw
    ),
    "history": Kind(title="Score of each trial", info=history.history, draw=history.draw),
    "thresholds": Kind(
        title="Convergence at any threshold", info=thresholds.thresholds, draw=thresholds.draw
    ),
    "curves": Kind(title="From pass to pass", info=curves.curves, draw=curves.draw),
    "importance": Kind(
        title="Which parameters matter", info=importance.importance, draw=importance.draw
    ),
    "parallel": Kind(
        title="All trials through all parameters", info=parallel.parallel, draw=parallel.draw
    ),
    "slices": Kind(title="One parameter at a time", info=parallel.parallel, draw=slices.draw),
}
