"""Reports, figures and their numbers as files."""

import json
import time
from pathlib import Path

import plotly.graph_objects as go

from cvfp_opt.disk import make_folder, write_file
from cvfp_opt.errors import ReportError
from cvfp_opt.escaping import positional, quoted
from cvfp_opt.report.chromium import picture
from cvfp_opt.report.compare import Comparison
from cvfp_opt.report.confirmation import confirmation_json
from cvfp_opt.report.figures.figure import titled
from cvfp_opt.report.judgement import answer, judge
from cvfp_opt.report.page.content import content, data_tables
from cvfp_opt.report.page.render import render, render_figure
from cvfp_opt.report.rows import to_csv, to_records
from cvfp_opt.report.words import moment
from cvfp_opt.store.record.summary import Summary

FORMATS = (".html", ".svg", ".png")
# Version of the JSON that ``--data`` writes.
FORMAT = 1


def write_report(
    summary: Summary,
    path: Path,
    option: str,
    comparison: Comparison | None = None,
    data: Path | None = None,
) -> None:
    """Write a study's report.

    Args:
        summary: of the study.
        path: file to write.
        option: what to add to a command to mean its database.
        comparison: with another study, to be shown too.
        data: folder that its numbers are written to as well, which ``write_data`` does.

    Raises:
        ReportError: the disk refuses.
    """
    words = [f"cvfp-opt report{option} -o {quoted(path)}"]
    words += [f"--compare {quoted(comparison.names[1])}"] if comparison else []
    words += [f"--data {quoted(data)}"] if data else []
    made_by = " ".join([*words, positional(summary.name)])
    page = render(content(summary, option, comparison, made_by), moment(time.time()))
    write_file(path, page, error=ReportError)


def write_data(summary: Summary, folder: Path) -> None:
    """Write the numbers of a report: a CSV for each table, and all of them as ``report.json``.

    Raises:
        ReportError: the disk refuses.
    """
    make_folder(folder, error=ReportError)
    tables = data_tables(summary)
    for name, rows in tables.items():
        write_file(folder / f"{name}.csv", to_csv(rows.columns, rows.rows), error=ReportError)
    found = {
        "format": FORMAT,
        "study_name": summary.name,
        "answer": answer(summary).text,
        "judgement": judge(summary),
        "confirmation": confirmation_json(summary),
        "counts": summary.counts,
        "tables": {name: to_records(rows) for name, rows in tables.items()},
    }
    text = json.dumps(found, indent=2, allow_nan=False) + "\n"
    write_file(folder / "report.json", text, error=ReportError)


def require_format(path: Path) -> None:
    """Check that a figure can be written to a file of that name.

    Raises:
        ReportError: its ending says another format.
    """
    if path.suffix.lower() not in FORMATS:
        raise ReportError(f"{path}: a file name that ends in {', '.join(FORMATS)} is required")


def write_figure(
    figure: go.Figure, path: Path, *, study: str = "", title: str = "Figure", caption: str = ""
) -> None:
    """Write a figure in the format that the file's name says.

    Args:
        figure: to be written.
        path: of the file.
        study: its name, for a page.
        title: stands above the figure.
        caption: what the figure shows, for a page.

    Raises:
        ReportError: there is no Chromium to draw it, or the disk refuses.
    """
    suffix = path.suffix.lower()
    if suffix == ".html":
        page = render_figure(
            figure, study=study, title=title, caption=caption, made=moment(time.time())
        )
        made = page.encode()
    else:
        still = go.Figure(figure).update_layout(updatemenus=[])  # nobody can press a button
        made = picture(titled(still, title), path, suffix.removeprefix("."))
    write_file(path, made, error=ReportError)
