"""``study export``, ``import``, ``copy``, ``merge``: studies on their way."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cvfp_opt.cli.console import print_json, print_lines
from cvfp_opt.cli.options import (
    UserPath,
    artifacts_option,
    json_option,
    one_study,
    storage_option,
    study_name_option,
)

if TYPE_CHECKING:
    from cvfp_opt.store.transfer.operations import Loaded, Place


@click.command("export", epilog="Example: cvfp-opt study export quick -o quick.cvfp.zip")
@one_study
@click.option(
    "-o",
    "--output",
    required=True,
    type=UserPath(path_type=Path),
    metavar="FILE.zip",
    help="File to write; it must not exist.",
)
@storage_option
@artifacts_option
@json_option
def export_study(
    study_name: str, output: Path, storage: str | None, artifacts: str | None, as_json: bool
) -> None:
    """Write a study, its mirrors and artifacts to one file; workers may go on meanwhile.

    The file shows the study at one moment. Trials running then are waiting ones in the file, with
    their parameters and checkpoints.
    """
    from cvfp_opt.report.transfer import exported_json, exported_lines
    from cvfp_opt.store.transfer import operations

    exported = operations.export_study(_place(storage, artifacts), study_name, output)
    if as_json:
        print_json(exported_json(exported, str(output)))
    else:
        print_lines(exported_lines(exported, str(output)))


@click.command("import", epilog="Example: cvfp-opt study import quick.cvfp.zip --storage lab.db")
@click.argument("file", type=UserPath(path_type=Path))
@study_name_option
@storage_option
@artifacts_option
@json_option
def import_study(
    file: Path,
    study_name: str | None,
    storage: str | None,
    artifacts: str | None,
    as_json: bool,
) -> None:
    """Read a study from a file that `study export` wrote.

    All of the file is checked before anything is written; then all of it is written, or nothing.
    Nothing in it is ever executed.
    """
    from cvfp_opt.store.transfer import operations

    place = _place(storage, artifacts)
    _print_loaded(operations.import_study(file, study_name, place), place, as_json)


@click.command(
    "copy", epilog="Example: cvfp-opt study copy quick --to postgresql://me@server/studies"
)
@click.argument("name")
@click.option("--to", required=True, metavar="URL|PATH", help="Database to copy to.")
@click.option(
    "--to-artifacts",
    envvar="CVFP_OPT_ARTIFACTS",
    metavar="PATH|s3://BUCKET/PREFIX",
    help="Where to copy its artifacts. [default: as for --artifacts, of the database copied to]",
)
@study_name_option
@storage_option
@artifacts_option
@json_option
def copy_study(
    name: str,
    to: str,
    to_artifacts: str | None,
    study_name: str | None,
    storage: str | None,
    artifacts: str | None,
    as_json: bool,
) -> None:
    """Copy a study to another database of any kind; workers may go on meanwhile.

    Trials keep their numbers and identities. Running trials are waiting ones in the copy.
    """
    from cvfp_opt.store.transfer import operations

    source, target = _place(storage, artifacts), _place(to, to_artifacts)
    _print_loaded(operations.copy_study(source, name, target, study_name), target, as_json)


@click.command(
    "merge", epilog="Example: cvfp-opt study merge quick laptop.cvfp.zip --study-name joined"
)
@click.argument("studies", nargs=-1, required=True, metavar="STUDY STUDY...")
@click.option("--study-name", metavar="NAME", help="Name of the new study; required.")
@click.option("-o", "--output", "former", hidden=True)  # -o is a file everywhere else
@storage_option
@artifacts_option
@json_option
def merge_studies(
    studies: tuple[str, ...],
    study_name: str | None,
    former: str | None,
    storage: str | None,
    artifacts: str | None,
    as_json: bool,
) -> None:
    """Make one new study of several that were searched apart; they are left as they are.

    A STUDY is a name in this database, an exported FILE.zip, or URL#NAME for one in another
    database. The first one keeps its trials' numbers; what the others have beyond that follows, in
    their order. Of a trial that is in several, the finished one is kept, else the first named.
    """
    name = study_name or former
    if not name:
        raise click.UsageError("a name for the new study is required; give --study-name NAME")
    if len(studies) < 2:
        raise click.UsageError(f"two or more studies are required, got {studies[0]!r} alone")
    from cvfp_opt.report.transfer import loaded_json, merged_json, merged_lines
    from cvfp_opt.store.transfer import operations
    from cvfp_opt.tuning.drift import disagreements

    place = _place(storage, artifacts)
    merged, loaded = operations.merge_studies(studies, name, place, disagreements)
    if as_json:
        print_json({**loaded_json(loaded, place.location), **merged_json(merged)})
    else:
        print_lines(merged_lines(merged))
        _print_loaded(loaded, place, as_json)


def _place(storage: str | None, artifacts: str | None) -> "Place":
    from cvfp_opt.store.database.location import resolve_location
    from cvfp_opt.store.transfer.operations import Place

    return Place(location=resolve_location(storage), artifacts=artifacts)


def _print_loaded(loaded: "Loaded", place: "Place", as_json: bool) -> None:
    from cvfp_opt.report.transfer import loaded_json, loaded_lines

    if as_json:
        print_json(loaded_json(loaded, place.location))
    else:
        print_lines(loaded_lines(loaded, place.location))
