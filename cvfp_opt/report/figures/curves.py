"""How the best trials went from pass to pass: metrics, and the schedule that led them."""

from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cvfp_opt.report.figures.figure import BEST, DASHES, MARKERS, SERIES, style
from cvfp_opt.report.rows import Cell, Rows, finite
from cvfp_opt.report.trial_rows import PANELS, pass_numbers, steps_of
from cvfp_opt.report.words import joined, share
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import Summary

PANEL_HEIGHT = 210


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One trial: its passes, and the figures of each by the keys of PANELS."""

    number: int
    passes: tuple[int, ...]
    figures: dict[str, tuple[float | None, ...]]


@dataclass(frozen=True, kw_only=True)
class Curves:
    """The passes of the best trials, best first; ``panels`` are those that have figures."""

    curves: tuple[Curve, ...] = ()
    panels: tuple[tuple[str, str, bool], ...] = ()
    missing: str = ""

    @property
    def caption(self) -> str:
        if not self.curves:
            return ""
        titles = joined(title for _, title, _ in self.panels)
        trials = joined(curve.number for curve in self.curves)
        best = "the best trials" if len(self.curves) > 1 else "the best trial"
        words = f"After each pass: {titles}, of {best}, {trials}."
        first = self.curves[0]
        for key, title, rate in self.panels:
            known = [value for value in first.figures[key] if value is not None]
            if rate and known:
                words += f" {title[0].upper()}{title[1:]} of trial {first.number} went from "
                words += f"{known[0]:.1%} to {known[-1]:.1%}."
        return words

    def rows(self) -> Rows:
        rows: list[tuple[Cell, ...]] = []
        for curve in self.curves:
            for place, at in enumerate(curve.passes):
                cells = [curve.figures[key][place] for key, _, _ in self.panels]
                rows.append((curve.number, at, *cells))
        return Rows(
            columns=("trial", "pass", *(title for _, title, _ in self.panels)),
            rows=tuple(rows),
            formats={title: share for _, title, rate in self.panels if rate},
        )


def curves(summary: Summary) -> Curves:
    """Collect the passes of a study's best trials; of other programs' what they reported."""
    found = [curve for trial in summary.ranking[:BEST] if (curve := _curve(trial)).passes]
    if not found:
        return Curves(missing="None of the best trials has left figures of its passes.")
    panels = tuple(
        panel
        for panel in PANELS
        if any(v is not None for curve in found for v in curve.figures[panel[0]])
    )
    return Curves(curves=tuple(found), panels=panels)


def _curve(trial: TrialRecord) -> Curve:
    steps = steps_of(trial)
    return Curve(
        number=trial.number,
        passes=tuple(pass_numbers(trial)),
        figures={key: tuple(finite(s.get(key)) for s in steps) for key, _, _ in PANELS},
    )


def draw(info: Curves, *, columns: int = 1) -> go.Figure:
    """Draw a panel for each quantity, row by row; a line per trial."""
    count = len(info.panels)
    rows = -(-count // columns)
    figure = make_subplots(
        rows=rows,
        cols=columns,
        shared_xaxes=True,
        vertical_spacing=0.24 / max(rows, 2),
        subplot_titles=[title for _, title, _ in info.panels],
    )
    style(figure, height=PANEL_HEIGHT * rows + 80)
    for panel, (key, title, rate) in enumerate(info.panels):
        row, col = panel // columns + 1, panel % columns + 1
        for place, curve in enumerate(info.curves):
            form = ".1%" if rate else ".4g"
            figure.add_scatter(
                x=list(curve.passes),
                y=list(curve.figures[key]),
                name=f"trial {curve.number}",
                legendgroup=str(curve.number),
                showlegend=panel == 0,
                mode="lines+markers",
                line={"color": SERIES[place], "dash": DASHES[place], "width": 2},
                marker={"symbol": MARKERS[place], "size": 6},
                hovertemplate=f"trial {curve.number}, pass %{{x}}: {title} %{{y:{form}}}"
                "<extra></extra>",
                row=row,
                col=col,
            )
        if rate:
            figure.update_yaxes(tickformat=".0%", range=[-0.05, 1.07], row=row, col=col)
        if panel + columns >= count:
            figure.update_xaxes(title="pass", showticklabels=True, row=row, col=col)
    if max(len(curve.passes) for curve in info.curves) <= 20:
        figure.update_xaxes(dtick=1)  # there is no half a pass
    figure.update_layout(legend={"y": 1 + 0.14 / rows}, margin={"t": 64})
    return figure
