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
# The same of a confirmation: it draws what fresh seeds say of the study that it confirms.
_OF_CONFIRMATION = {"scores-on-fresh-seeds": "confirmation"}


def drawings(*, confirms: bool = False) -> Mapping[str, Drawing]:
    """List the figures by what stands above each; imports plotly.

    Args:
        confirms: whether they are for the page of a confirmation; then each is drawn of the
            summary of the study that it confirms.
    """
    from cvfp_opt.report.figures.figure import titled
    from cvfp_opt.report.figures.kinds import KINDS

    def drawing(kind: str) -> Drawing:
        def draw(summary: Summary) -> "go.Figure":
            info = KINDS[kind].info(summary)
            words = {"columns": 2} if kind == "curves" else {}
            figure = titled(KINDS[kind].draw(info, **words), KINDS[kind].title)
            return figure.update_layout(height=HEIGHT)

        return draw

    shown = _OF_CONFIRMATION if confirms else _SHOWN
    return {name: drawing(kind) for name, kind in shown.items()}
