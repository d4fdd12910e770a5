"""``study``: look at a study as a whole, and change it as a whole."""

import sys

import click

from cvfp_opt.api.opening import locate, open_summary
from cvfp_opt.cli.adopt import adopt_command
from cvfp_opt.cli.console import echo, print_json, print_lines, print_whole
from cvfp_opt.cli.control import cancel, pause, resume, set_study
from cvfp_opt.cli.doctor import doctor
from cvfp_opt.cli.options import (
    artifacts_option,
    json_option,
    named_study,
    one_study,
    storage_option,
)
from cvfp_opt.cli.publish import publish
from cvfp_opt.cli.show import list_studies
from cvfp_opt.cli.transfer import copy_study, export_study, import_study, merge_studies
from cvfp_opt.escaping import positional, printable, quoted

MOVES = (export_study, import_study, copy_study, merge_studies)


@click.group(epilog="Example: cvfp-opt study show quick")
def study() -> None:
    """Look at studies, adopt, hand on, move, join, mend, rename and delete them."""


@click.command(epilog="Example: cvfp-opt study show quick --json")
@named_study
@storage_option
@json_option
def show(study_name: str | None, storage: str | None, as_json: bool) -> None:
    """Show a study: what it was created with, what ran it, how far it is, its definition."""
    from cvfp_opt.report.study import definition_lines, study_json, study_lines

    with open_summary(locate(storage), study_name) as summary:
        if as_json:
            print_json(study_json(summary))
        else:
            print_lines(study_lines(summary))
            print_whole(definition_lines(summary))


@click.command(epilog="Example: cvfp-opt study delete quick --yes")
@one_study
@storage_option
@artifacts_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Even if workers run it; they stop with an error.")
@json_option
def delete(
    study_name: str,
    storage: str | None,
    artifacts: str | None,
    yes: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Delete a study with all its trials, mirrors and checkpoints. There is no way back."""
    from cvfp_opt.api import changing
    from cvfp_opt.errors import StudyError
    from cvfp_opt.store.doctor.finding import counted
    from cvfp_opt.store.files.artifact_stores import open_artifacts

    location = locate(storage)
    open_artifacts(location, artifacts)  # refused before anybody is asked
    with open_summary(location, study_name) as summary:
        count = len(summary.trials)
        trials = counted(count, "trial")
        what = f"study {printable(study_name)} with {trials} in {location.shown}"
    if not yes:
        if not sys.stdin.isatty():
            option = f"{location.option}{f' --artifacts {quoted(artifacts)}' if artifacts else ''}"
            option += " --force" if force else ""
            raise StudyError(
                f"{what}: nobody is there to be asked whether to delete it; to delete it, type "
                f"`cvfp-opt study delete{option} --yes {positional(study_name)}`"
            )
        if not click.confirm(f"Delete {what}? There is no way back.", err=True):
            echo("nothing was deleted")
            sys.exit(1)
    changing.delete(location, study_name, artifacts, force=force)
    if as_json:
        print_json({"study": study_name, "trials": count})
        return
    echo(f"deleted {what}")


@click.command(epilog="Example: cvfp-opt study rename quick first-try")
@click.argument("old")
@click.argument("new")
@storage_option
@json_option
def rename(old: str, new: str, storage: str | None, as_json: bool) -> None:
    """Give a study another name."""
    from cvfp_opt.api import changing

    changing.rename(locate(storage), old, new)
    if as_json:
        print_json({"study": new, "before": old})
        return
    echo(f"study {old} is study {new} now")


CONTROLS = (pause, resume, cancel, set_study)
EDITS = (adopt_command, delete, rename, publish)

for command in (list_studies, show, *CONTROLS, *EDITS, *MOVES, doctor):
    study.add_command(command)
