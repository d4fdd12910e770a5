"""``status``, ``best``, ``list``: look at a database without changing it."""

import sys
from pathlib import Path

import click

from cvfp_opt.api.display.console import blocks_for, make_console
from cvfp_opt.api.opening import locate, open_study, open_summary
from cvfp_opt.cli.console import echo, print_json, print_lines, terminal_width
from cvfp_opt.cli.options import Seconds, UserPath, json_option, named_study, storage_option


@click.command(epilog="Example: cvfp-opt status quick --watch")
@named_study
@storage_option
@json_option
@click.option(
    "--watch",
    "seconds",
    is_flag=False,
    flag_value=2.0,
    type=Seconds(0.1),
    metavar="[SECONDS]",
    help="Update every 2 seconds, or every SECONDS, until no trial runs or waits; ^C ends it.",
)
def status(
    storage: str | None, study_name: str | None, as_json: bool, seconds: float | None
) -> None:
    """Show how far a study is, and where its time went."""
    from cvfp_opt.cli.watch import watch
    from cvfp_opt.report.confirmation_words import confirmation_line
    from cvfp_opt.report.history import history_line
    from cvfp_opt.report.judgement import judge
    from cvfp_opt.report.status import status_json, status_lines
    from cvfp_opt.store.database.location import resolve_location

    if seconds is not None and as_json:
        raise click.UsageError("--watch and --json exclude each other; give one of them")
    with open_study(locate(storage), study_name) as look:
        if seconds is not None:
            watch(look, seconds, make_console())
            return
        summary = look()
    if as_json:
        print_json(status_json(summary))
        return
    history = history_line(summary, blocks=blocks_for(sys.stdout.encoding))
    confirmed = confirmation_line(summary, option=resolve_location(storage).option)
    option = resolve_location(storage).option
    print_lines([*status_lines(summary, history, option), *filter(None, [confirmed])])
    echo(judge(summary))


@click.command(epilog="Example: cvfp-opt best quick --toml > winner.toml")
@named_study
@storage_option
@json_option
@click.option(
    "--toml", is_flag=True, help="Print its study definition, with the parameters fixed."
)
@click.option(
    "--combiners", is_flag=True, help="Show who would win if the score were combined otherwise."
)
@click.option(
    "--save",
    type=UserPath(path_type=Path),
    metavar="DIR",
    help="Train it again, and write weights and model card to this folder, as `study publish` "
    "does.",
)
def best(
    storage: str | None,
    study_name: str | None,
    as_json: bool,
    toml: bool,
    combiners: bool,
    save: Path | None,
) -> None:
    """Show the best trial: parameters, metrics, audit."""
    from cvfp_opt.cli.publish import save_trial
    from cvfp_opt.report.best import best_json, best_lines, best_toml, require_best
    from cvfp_opt.report.judgement import judge
    from cvfp_opt.report.other_scores import audit_combiners
    from cvfp_opt.report.tables import rows_table
    from cvfp_opt.store.database.location import resolve_location

    if [toml, as_json, combiners].count(True) > 1:
        raise click.UsageError("--toml, --json and --combiners exclude each other; give one")
    with open_summary(locate(storage), study_name) as summary:
        winner = require_best(summary)
    combined = audit_combiners(summary.trials, winner)
    if toml:
        click.echo(best_toml(summary).encode(), nl=False)  # TOML is UTF-8 on every terminal
    elif as_json:
        print_json(best_json(summary))
    elif combiners:
        if combined is not None:
            make_console().print(
                rows_table(combined.table(), least=("score", "convergence", "rank"))
            )
    else:
        print_lines([*best_lines(summary, resolve_location(storage).option, terminal_width()), ""])
        echo(judge(summary))
    if combined is not None and not (toml or as_json):
        echo(f"{combined.sentence}.")
    if save is not None:
        save_trial(summary, save, stderr=toml or as_json)


@click.command("list", epilog="Example: cvfp-opt list --storage sqlite:///storage/cvfp.db")
@storage_option
@json_option
def list_studies(storage: str | None, as_json: bool) -> None:
    """List the studies of a database."""
    from cvfp_opt.report.tables import studies_table
    from cvfp_opt.store.database.location import resolve_location
    from cvfp_opt.store.database.storage import open_for_reading
    from cvfp_opt.store.record.studies import summarize

    with open_for_reading(resolve_location(storage)) as store:
        rows = store.patiently(lambda: summarize(store))
    if as_json:
        print_json([row.to_dict() for row in rows])
    elif rows:
        make_console().print(studies_table(rows))
    else:
        echo("no studies yet; type `cvfp-opt run`")
