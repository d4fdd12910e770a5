"""A trial's curves as files that optuna-dashboard shows on its page: a picture, and a table.

It shows images as they are, and CSV and JSON lines as tables; nothing else. The picture is drawn
here: plotly needs a browser for one, and takes longer to import than this to draw.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from cvfp_opt.report.rows import finite, to_csv
from cvfp_opt.report.trial_rows import PANELS, pass_numbers, steps_of
from cvfp_opt.report.words import share
from cvfp_opt.store.files.trial_files import CSV, SVG, File
from cvfp_opt.store.record.records import TrialRecord

# Colours of report.figures, with enough contrast on white and on the dashboard's dark.
_LINE, _TEXT, _GRID = "#2b7bd6", "#7d838c", "#7d838c"
_WIDTH, _LEFT, _RIGHT = 640, 72, 12
_PLOT, _ABOVE, _BELOW = 96, 30, 12
# Points drawn of a curve: more cannot be distinguished; the table has all of them.
_MAX_POINTS = 400


def files_of(trial: TrialRecord) -> list[File]:
    """Write a trial's curves: no file if it left nothing of any pass."""
    files = [
        File(name=f"curves-{trial.number}.svg", mimetype=SVG, text=curves_svg(trial)),
        File(name=f"curves-{trial.number}.csv", mimetype=CSV, text=curves_csv(trial)),
    ]
    return [file for file in files if file.text]


def curves_csv(trial: TrialRecord) -> str:
    """Write all that a trial's passes left as CSV, a line for each; "" if there is nothing."""
    steps = steps_of(trial)
    columns = list(dict.fromkeys(key for step in steps for key in step))
    if not columns:
        return ""
    return to_csv(columns, (map(step.get, columns) for step in steps))


def curves_svg(trial: TrialRecord) -> str:
    """Draw the panels of report.figures.curves as SVG, for light and dark pages; "" for none."""
    thinned = _thinned(list(zip(pass_numbers(trial), steps_of(trial), strict=True)))
    passes, steps = [finite(number) or 0.0 for number, _ in thinned], [step for _, step in thinned]
    panels = []
    for key, title, rate in PANELS:
        values = [finite(step.get(key)) for step in steps]
        if any(value is not None for value in values):
            panels.append((title, rate, values))
    if not panels:
        return ""
    height = len(panels) * (_ABOVE + _PLOT + _BELOW) + 22
    name = f"trial {trial.number}, from pass to pass"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img" font-family="sans-serif" '
        f'font-size="13" fill="{_TEXT}">',
        f"<title>{escape(name)}</title>",
    ]
    top = 0
    for title, rate, values in panels:
        top += _ABOVE
        lines += _panel(title, rate, passes, values, top)
        top += _PLOT + _BELOW
    first, last = f"{passes[0]:g}", f"{passes[-1]:g}"
    lines += [
        f'<text x="{_LEFT}" y="{height - 8}">pass {first}</text>',
        f'<text x="{_WIDTH - _RIGHT}" y="{height - 8}" text-anchor="end">pass {last}</text>',
        "</svg>",
    ]
    return "\n".join(lines)


def _panel(
    title: str, rate: bool, passes: Sequence[float], values: Sequence[float | None], top: float
) -> list[str]:
    known = [value for value in values if value is not None]
    low, high = min(known), max(known)
    if rate:
        low, high = min(low, 0.0), max(high, 1.0)
    words = share if rate else "{:.4g}".format
    span, length = high - low, (passes[-1] - passes[0]) or 1.0
    ends = [(top, high), (top + _PLOT, low)] if high > low else [(top + _PLOT / 2, low)]
    lines = [f'<text x="{_LEFT}" y="{top - 9}">{title}, last {words(known[-1])}</text>']
    for y, end in ends:
        lines.append(
            f'<path d="M{_LEFT} {y}H{_WIDTH - _RIGHT}" stroke="{_GRID}" stroke-opacity="0.35"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{words(end)}</text>'
        )
    path, dots, pen = "", "", "M"
    for at, value in zip(passes, values, strict=True):
        if value is None:
            pen = "M"
            continue
        x = _LEFT + (_WIDTH - _LEFT - _RIGHT) * (at - passes[0]) / length
        y = top + _PLOT * (1 - (value - low) / span if high > low else 0.5)
        path += f"{pen}{x:.1f} {y:.1f}"
        dots += f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{_LINE}"/>'
        pen = "L"
    lines.append(f'<path d="{path}" fill="none" stroke="{_LINE}" stroke-width="2"/>')
    return [*lines, dots] if len(values) <= 40 else lines


def _thinned(
    steps: Sequence[tuple[int, Mapping[str, Any]]],
) -> Sequence[tuple[int, Mapping[str, Any]]]:
    """Leave out steps evenly, and keep the last one."""
    every = -(-len(steps) // _MAX_POINTS)
    return steps if every <= 1 else [*steps[:-1:every], steps[-1]]
