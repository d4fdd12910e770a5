"""``study adopt``: go on with a study that another program made."""

from collections.abc import Sequence

import click

from cvfp_opt.api.opening import locate
from cvfp_opt.cli.console import echo, print_lines
from cvfp_opt.cli.options import one_study, storage_option
from cvfp_opt.escaping import positional, quoted


@click.command(
    "adopt", epilog="Example: cvfp-opt study adopt theirs --definition recommended --dry-run"
)
@one_study
@storage_option
@click.option(
    "--definition",
    metavar="NAME|PATH",
    help="The definition to go on with. Without it, only what the study has and lacks is said.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="Change the definition; repeatable.",
)
@click.option("--data", type=click.Path(), help="Text to train on; see `run`.")
@click.option("--seed", type=int, help="Seed of the trials to come. [default: 0]")
@click.option("--dry-run", is_flag=True, help="Check the study and write nothing.")
def adopt_command(
    study_name: str,
    storage: str | None,
    definition: str | None,
    settings: tuple[str, ...],
    data: str | None,
    seed: int | None,
    dry_run: bool,
) -> None:
    """Adopt a study that another program made, so that `run` goes on with it.

    Its trials stay as they are, with what they have. Parameters have to be those of the
    definition, and values scores.
    """
    from cvfp_opt.api.adopting import adopt_study
    from cvfp_opt.tuning.plan import Request

    if definition is None and (settings or data or seed is not None):
        raise click.UsageError("--set, --data and --seed go with --definition")
    location = locate(storage)
    request = Request(
        definition=definition, study_name=study_name, settings=settings, data=data, seed=seed
    )

    def show(lines: Sequence[str]) -> None:
        echo(f"study {study_name} in {location.shown}")
        print_lines(f"  {line}" for line in lines)

    asked = request if definition is not None else None
    adopted = adopt_study(location, study_name, asked, dry_run=dry_run, found=show)
    if adopted:
        run = f"cvfp-opt run --study-name {quoted(study_name)}{location.option} --n-trials +10"
        echo(f"adopted; to go on:  {run}")
    elif definition is not None:
        echo("it can be adopted; nothing was written (--dry-run)")
    else:
        words = f"{location.option} --definition DEFINITION {positional(study_name)}"
        echo(f"nothing was written; to go on with it, type `cvfp-opt study adopt{words}`")
