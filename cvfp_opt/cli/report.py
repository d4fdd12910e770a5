"""``report``, ``plot``, ``compare``: a study as a page, as one picture, beside another."""

from pathlib import Path

import click

from cvfp_opt.api.display.console import make_console
from cvfp_opt.api.opening import locate, open_summary
from cvfp_opt.cli.console import echo, print_json
from cvfp_opt.cli.options import Name, UserPath, json_option, named_study, storage_option

# The names in report.figures.kinds, repeated here so that --help is quick; a test compares them.
KINDS = (
    "pareto",
    "confirmation",
    "history",
    "thresholds",
    "curves",
    "importance",
    "parallel",
    "slices",
)


@click.command(epilog="Example: cvfp-opt report quick -o report.html")
@named_study
@click.option(
    "-o",
    "--output",
    default="report.html",
    show_default=True,
    type=UserPath(path_type=Path),
    metavar="FILE.html",
    help="File to write.",
)
@click.option("--compare", "other", metavar="STUDY", help="Add a comparison with another study.")
@click.option(
    "--data",
    type=UserPath(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Also write the numbers of every figure to this folder, as CSV and as report.json.",
)
@storage_option
def report(
    study_name: str | None, output: Path, other: str | None, data: Path | None, storage: str | None
) -> None:
    """Write a study's report: one HTML file that needs no network, to be read or sent on.

    It begins with whether to believe the winner, and why.
    """
    from cvfp_opt.report.compare import compare_studies
    from cvfp_opt.report.page.write import write_data, write_report
    from cvfp_opt.store.database.location import resolve_location

    with open_summary(locate(storage), study_name) as summary:
        comparison = None
        if other is not None:
            with open_summary(locate(storage), other) as second:
                comparison = compare_studies(summary, second)
        write_report(summary, output, resolve_location(storage).option, comparison, data)
        echo(f"the report is in {output}")
        if data is not None:
            write_data(summary, data)
            echo(f"its numbers are in {data}")


@click.command(epilog="Example: cvfp-opt plot quick --kind pareto -o pareto.svg")
@named_study
@click.option("--kind", type=Name(KINDS), required=True, help="Which figure.")
@click.option(
    "-o",
    "--output",
    type=UserPath(path_type=Path),
    metavar="FILE",
    help="File to write, *.html, *.svg or *.png; the latter two need Chromium installed. "
    "Without one, the figure is printed as a table.",
)
@storage_option
def plot(study_name: str | None, kind: str, output: Path | None, storage: str | None) -> None:
    """Draw one figure of a study to a file, or print it as a table."""
    from cvfp_opt.report.figures.kinds import KINDS as kinds
    from cvfp_opt.report.page.write import require_format, write_figure
    from cvfp_opt.report.tables import rows_table

    if output is not None:
        require_format(output)
    with open_summary(locate(storage), study_name) as summary:
        info = kinds[kind].info(summary)
        if output is not None:
            write_figure(
                kinds[kind].draw(info),
                output,
                study=summary.name,
                title=kinds[kind].title,
                caption=info.missing or info.caption,
            )
    if output is None and not info.missing:
        rows = info.rows()
        make_console().print(rows_table(rows, least=rows.columns[:1:-1]))
        echo()
    echo(info.missing or info.caption)
    if output is not None:
        echo(f"the picture is in {output}")


@click.command(epilog="Example: cvfp-opt compare quick wide")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@storage_option
@json_option
def compare(first: str, second: str, storage: str | None, as_json: bool) -> None:
    """Show two studies side by side: winners, audits, what they took, where they differ."""
    from cvfp_opt.report.compare import compare_studies
    from cvfp_opt.report.tables import rows_table

    with open_summary(locate(storage), first) as one, open_summary(locate(storage), second) as two:
        comparison = compare_studies(one, two)
    if as_json:
        print_json(comparison.to_dict())
        return
    console = make_console()
    for rows in comparison.tables.values():
        if rows.rows:
            console.print(rows_table(rows))
            echo()
    echo(comparison.sentence)
