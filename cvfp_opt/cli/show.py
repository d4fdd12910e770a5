"""``status``, ``best``, ``list``: look at a database without changing it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from cvfp_opt.cli.console import make_console, print_json, print_lines
from cvfp_opt.cli.options import json_option, storage_option, study_name_option

if TYPE_CHECKING:
    from cvfp_opt.report.summary import Summary


@contextmanager
def open_summary(storage: str | None, study_name: str | None) -> "Iterator[Summary]":
    """The summary of a study; of the only one there is if none is named."""
    from cvfp_opt.report.summary import Summary
    from cvfp_opt.store.database.location import resolve_location
    from cvfp_opt.store.database.storage import open_for_reading
    from cvfp_opt.store.studies import load_study, only_study_name, optuna_version

    location = resolve_location(storage)
    with open_for_reading(location) as store:
        name = study_name or only_study_name(store)
        yield Summary.of(load_study(store, name), location.shown, optuna_version(store))


@click.command(epilog="Example: cvfp-opt status --study-name quick")
@storage_option
@study_name_option
@json_option
def status(storage: str | None, study_name: str | None, as_json: bool) -> None:
    """Show how far a study is, and where its time went."""
    from cvfp_opt.report.judgement import judge
    from cvfp_opt.report.tables import status_lines

    with open_summary(storage, study_name) as summary:
        if as_json:
            print_json(summary.to_dict() | {"judgement": judge(summary)})
            return
        print_lines(status_lines(summary))
        make_console().print(judge(summary))


@click.command(epilog="Example: cvfp-opt best --toml > winner.toml && cvfp-opt run winner.toml")
@storage_option
@study_name_option
@json_option
@click.option("--toml", is_flag=True, help="Print a study definition with the parameters fixed.")
def best(storage: str | None, study_name: str | None, as_json: bool, toml: bool) -> None:
    """Show the best trial: parameters, metrics, audit."""
    from cvfp_opt.report.best import best_lines, best_toml, require_best
    from cvfp_opt.report.judgement import judge

    if toml and as_json:
        raise click.UsageError("--toml and --json exclude each other; give one of them")
    with open_summary(storage, study_name) as summary:
        if toml:
            click.echo(best_toml(summary), nl=False)
        elif as_json:
            print_json(require_best(summary).to_dict() | {"judgement": judge(summary)})
        else:
            print_lines([*best_lines(summary), ""])
            make_console().print(judge(summary))


@click.command("list", epilog="Example: cvfp-opt list --storage sqlite:///storage/cvfp.db")
@storage_option
@json_option
def list_studies(storage: str | None, as_json: bool) -> None:
    """List the studies of a database."""
    from dataclasses import asdict

    from cvfp_opt.report.tables import studies_table
    from cvfp_opt.store.database.location import resolve_location
    from cvfp_opt.store.database.storage import open_for_reading
    from cvfp_opt.store.studies import summarize

    with open_for_reading(resolve_location(storage)) as store:
        rows = summarize(store)
    if as_json:
        print_json([asdict(row) for row in rows])
    elif rows:
        make_console().print(studies_table(rows))
    else:
        click.echo("no studies yet; type `cvfp-opt run`")
