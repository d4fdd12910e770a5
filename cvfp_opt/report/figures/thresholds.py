"""Convergence of the best trials at any threshold: whether a score rests on its own."""

from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cvfp_opt.report.figures.figure import BEST, DASHES, GREY, SERIES, style
from cvfp_opt.report.rows import Rows, all_finite, finite
from cvfp_opt.report.trial_rows import THRESHOLDS, threshold_rows
from cvfp_opt.report.words import share
from cvfp_opt.store.record.quantiles import rate_at
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import Summary
from cvfp_opt.store.record.trial_attributes import StoredAudit

REFERENCE = 0.1
LEAST, MOST, POINTS = 0.01, 2.0, 80
KINDS = ("absolute", "scale-free")


@dataclass(frozen=True, kw_only=True)
class ThresholdCurve:
    """The convergence rates of one trial.

    Attributes:
        number: of the trial.
        own: threshold that it was scored at; None if that is not known.
        audit: of the trial; holds the quantiles of the residuals.
    """

    number: int
    own: float | None
    audit: StoredAudit

    def rate(self, kind: str, threshold: float) -> float:
        """Look up the rate at a threshold, of a kind of KINDS."""
        factor = self.audit["mean_square"] if kind == "scale-free" else 1.0
        return rate_at(self.audit["residual_quantiles"], threshold * factor)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """The curves of the best trials, best first."""

    curves: tuple[ThresholdCurve, ...] = ()
    missing: str = ""

    @property
    def caption(self) -> str:
        if not self.curves:
            return ""
        first = self.curves[0]
        audit = first.audit
        absolute, scale_free = audit["absolute_convergence"], audit["scale_free_convergence"]
        words = (
            f"At the fixed threshold of 0.1, {absolute:.1%} of the tokens of trial {first.number} "
            f"converge; by the scale-free measure, which does not reward small contexts, "
            f"{scale_free:.1%}."
        )
        if first.own is not None:
            words += f" It was scored at its own threshold, {first.own:.3g}, marked on its curve."
        return words

    def rows(self) -> Rows:
        names = [f"trial {c.number}: {kind}" for c in self.curves for kind in KINDS]
        tables = [threshold_rows(curve.audit) for curve in self.curves]
        return Rows(
            columns=("threshold", *names),
            rows=tuple(
                (at, *(t[i][kind] for t in tables for kind in ("absolute", "scale_free")))
                for i, at in enumerate(THRESHOLDS if tables else ())
            ),
            formats=dict.fromkeys(names, share),
        )


def thresholds(summary: Summary) -> Thresholds:
    """Collect the curves of a study's best trials that were audited."""
    chosen = [trial for trial in summary.ranking[:BEST] if _has_residuals(trial)]
    if not chosen:
        return Thresholds(missing="None of the best trials was audited: there are no residuals.")
    space = summary.record.definition["space"] if summary.record else {}
    name = "phase1_convergence_threshold"
    objective = summary.record.definition["objective"] if summary.record else {}
    fixed = objective.get("threshold", "trial")
    frozen = objective.get("convergence") == "frozen"

    def own(trial: TrialRecord) -> float | None:
        value = trial.params.get(name, space.get(name)) if fixed == "trial" else fixed
        return None if frozen else finite(value)

    return Thresholds(
        curves=tuple(ThresholdCurve(number=t.number, own=own(t), audit=t.audit) for t in chosen)
    )


def _has_residuals(trial: TrialRecord) -> bool:
    quantiles = trial.audit.get("residual_quantiles")
    return (
        isinstance(quantiles, list | tuple)
        and len(quantiles) > 1
        and all_finite([*quantiles, trial.audit.get("mean_square")])
    )


def draw(info: Thresholds) -> go.Figure:
    """Draw two panels, absolute and scale-free; a line per trial."""
    figure = make_subplots(
        rows=2,
        cols=1,
        vertical_spacing=0.14,
        subplot_titles=("absolute: MSE below the threshold", "scale-free: MSE / mean square"),
    )
    style(figure, height=620)
    step = (MOST / LEAST) ** (1 / (POINTS - 1))
    grid = [LEAST * step**i for i in range(POINTS)]
    for row, kind in enumerate(KINDS, start=1):
        for place, curve in enumerate(info.curves):
            look = {"color": SERIES[place], "dash": DASHES[place], "width": 2}
            figure.add_scatter(
                x=grid,
                y=[curve.rate(kind, at) for at in grid],
                name=f"trial {curve.number}",
                legendgroup=str(curve.number),
                showlegend=row == 1,
                mode="lines",
                line=look,
                hovertemplate=f"trial {curve.number} at %{{x:.3g}}: %{{y:.1%}}<extra></extra>",
                row=row,
                col=1,
            )
            if kind == "absolute" and curve.own is not None:
                figure.add_scatter(
                    x=[curve.own],
                    y=[curve.rate(kind, curve.own)],
                    showlegend=False,
                    legendgroup=str(curve.number),
                    mode="markers",
                    marker={"size": 10, "color": SERIES[place]},
                    hovertemplate=f"trial {curve.number}: its own %{{x:.3g}}<extra></extra>",
                    row=row,
                    col=1,
                )
        figure.add_vline(x=REFERENCE, line={"color": GREY, "dash": "dot"}, row=row, col=1)
    ticks = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2]
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{t:g}" for t in ticks])
    figure.update_xaxes(title="threshold", row=2, col=1)
    figure.update_yaxes(title="converged", tickformat=".0%", range=[-0.02, 1.04])
    figure.update_layout(legend={"y": 1.08}, margin={"t": 64})
    return figure
