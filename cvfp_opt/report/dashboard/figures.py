"""The figures on a study's page in the dashboard."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from cvfp_opt.store.record.summary import Summary

if TYPE_CHECKING:
    import plotly.graph_objects as go

Drawing = Callable[[Summary], "go.Figure"]

# Height that a page has for each figure, in pixels; what is higher is cut off.
HEIGHT = 450
# Keys of report.figures.kinds.KINDS by the heading of each, which is an HTML id; the dashboard
# draws importance and the rest by itself.
_SHOWN = {
    "score-and-untrained-net": "history",
    "convergence-against-threshold": "thresholds",
    "trade-off": "pareto",
    "passes-and-schedules": "curves",
}


def drawings() -> Mapping[str, Drawing]:
    """List the figures by what stands above each; imports plotly."""
    from cvfp_opt.report.figures.kinds import KINDS

    def drawing(kind: str) -> Drawing:
        def draw(summary: Summary) -> "go.Figure":
            info = KINDS[kind].info(summary)
            words = {"columns": 2} if kind == "curves" else {}
            figure = KINDS[kind].draw(info, **words)
            return figure.update_layout(height=HEIGHT)

        return draw

    return {name: drawing(kind) for name, kind in _SHOWN.items()}
