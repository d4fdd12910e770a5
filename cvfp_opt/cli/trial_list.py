"""``trial list``: the trials of a study, a line each."""

import click

from cvfp_opt.api.display.console import make_console
from cvfp_opt.api.opening import locate, open_summary
from cvfp_opt.cli.console import print_json, print_lines, print_whole
from cvfp_opt.cli.options import json_option, named_study, storage_option


@click.command("list", epilog="Example: cvfp-opt trial list quick --sort score --limit 10")
@named_study
@storage_option
@click.option(
    "--sort",
    metavar="COLUMN",
    help="Sort by this column, the best first: the largest of scores, rates and ranks, the "
    "smallest of others. [default: by number]",
)
@click.option("--reverse", is_flag=True, help="Begin at the other end.")
@click.option(
    "--state",
    "states",
    multiple=True,
    metavar="complete|pruned|fail|running|waiting",
    help="Only trials in this state; repeatable.",
)
@click.option(
    "--where",
    multiple=True,
    metavar="CONDITION",
    help="Only trials for which this holds: a column, one of < <= > >= = !=, and a value, in "
    "quotes. Repeatable; all must hold.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV: all columns with all digits.")
@json_option
def list_trials(
    storage: str | None,
    study_name: str | None,
    sort: str | None,
    reverse: bool,
    states: tuple[str, ...],
    where: tuple[str, ...],
    limit: int | None,
    as_csv: bool,
    as_json: bool,
) -> None:
    """List the trials of a study: scores, parameters, audit, how they ended.

    A column is named as in --csv or as in the table. On a terminal there are as many columns as
    have room, the most important ones.
    """
    from cvfp_opt.report.rows import to_records
    from cvfp_opt.report.trial_list import trial_rows
    from cvfp_opt.report.trial_list_text import trial_list_csv, trial_list_text

    if as_csv and as_json:
        raise click.UsageError("--csv and --json exclude each other; give one of them")
    with open_summary(locate(storage), study_name) as summary:
        rows = trial_rows(
            summary, sort=sort, reverse=reverse, states=states, where=where, limit=limit
        )
    if as_csv:
        print_whole(trial_list_csv(rows))
        return
    if as_json:
        print_json(to_records(rows))
        return
    console = make_console()
    shown = trial_list_text(summary, rows, width=console.width, sort=sort, where=where)
    above, below = filter(None, [shown.title, summary.note]), filter(None, [shown.note])
    print_lines([*above, *shown.lines, *below])
