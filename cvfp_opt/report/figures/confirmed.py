"""The best trials on fresh seeds, beside the default point and the untrained net."""

from dataclasses import dataclass

import plotly.graph_objects as go

from cvfp_opt.report.confirmation import Confirmation, Result, confirmation_of
from cvfp_opt.report.confirmation_words import confirmation_line
from cvfp_opt.report.figures.figure import BLUE, GREY, ORANGE, new_figure, plain
from cvfp_opt.report.rows import Cell, Rows
from cvfp_opt.report.statistics import Interval
from cvfp_opt.report.words import sentence, share
from cvfp_opt.store.record.summary import Summary

COLUMNS = (
    "point",
    "reported",
    "mean",
    "low",
    "high",
    "seeds",
    "diverged",
    "against default",
    "low of that",
    "high of that",
    "P(better)",
    "against untrained",
    "verdict",
)


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """The points of a confirmation; ``line`` has its result for the winner."""

    found: Confirmation | None = None
    line: str = ""
    missing: str = ""

    @property
    def results(self) -> list[Result]:
        """Results of all points, the trials first."""
        return self.found.results if self.found else []

    @property
    def caption(self) -> str:
        if self.missing:
            return ""
        return (
            f"{sentence(self.line)} Dots are means over fresh seeds, bars their 95 % intervals, "
            "crosses what the search reported."
        )

    def rows(self) -> Rows:
        return Rows(
            columns=COLUMNS,
            rows=tuple(map(_row, self.results)),
            formats={"P(better)": share},
        )


def _row(result: Result) -> tuple[Cell, ...]:
    difference, gain = result.difference, result.gain
    return (
        result.point.label,
        result.point.reported,
        *_interval(result.score),
        len(result.scores),
        result.diverged,
        *_interval(difference),
        difference.probability_positive if difference else None,
        gain.mean if gain else None,
        result.verdict.value if result.point.trial is not None else None,
    )


def _interval(interval: Interval | None) -> tuple[Cell, Cell, Cell]:
    return (interval.mean, interval.low, interval.high) if interval else (None, None, None)


def confirmed(summary: Summary) -> Confirmed:
    """Collect what a study's confirmation has."""
    line = confirmation_line(summary, hint=False)
    if not line:
        what = "has no complete trial" if summary.record else "has no record"
        what = "is itself a confirmation" if summary.confirms else what
        return Confirmed(missing=f"The study {what}: there is nothing to confirm.")
    found = confirmation_of(summary)
    if found is None or not any(result.scores for result in found.results):
        return Confirmed(missing=sentence(line))
    return Confirmed(found=found, line=line)


def draw(info: Confirmed) -> go.Figure:
    """Draw a line for each point, the best at the top."""
    shown = [result for result in info.results if result.score is not None]
    figure = new_figure(height=150 + 34 * len(shown))
    means = [result.score for result in shown if result.score is not None]
    names = [plain(result.point.label) for result in shown]
    figure.add_scatter(
        x=[score.mean for score in means],
        y=names,
        error_x={
            "array": [(score.high or score.mean) - score.mean for score in means],
            "color": BLUE,
            "thickness": 2,
        },
        name="mean and 95 % interval",
        mode="markers",
        marker={"size": 9, "color": BLUE},
        hovertemplate="%{y}: %{x:.4f}<extra></extra>",
    )
    figure.add_scatter(
        x=[result.point.reported for result in shown],
        y=names,
        name="reported",
        mode="markers",
        marker={"symbol": "x-thin-open", "size": 9, "color": ORANGE, "line": {"width": 2}},
        hovertemplate="%{y}, reported: %{x:.4f}<extra></extra>",
    )
    default = info.found.default if info.found else None
    if default is not None and default.score is not None:
        figure.add_vline(x=default.score.mean, line={"color": GREY, "dash": "dot"})
    figure.update_xaxes(title="score")
    figure.update_yaxes(autorange="reversed")
    return figure
