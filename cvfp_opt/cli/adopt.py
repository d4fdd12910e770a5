"""``study adopt``: go on with a study that another program made."""

import click

from cvfp_opt.cli.console import echo, print_lines
from cvfp_opt.cli.options import storage_option
from cvfp_opt.escaping import positional, quoted


@click.command(
    "adopt", epilog="Example: cvfp-opt study adopt theirs --definition recommended --dry-run"
)
@click.argument("name")
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
    name: str,
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
    from cvfp_opt.store.database.location import resolve_location
    from cvfp_opt.store.database.storage import open_for_editing, open_for_reading
    from cvfp_opt.tuning.adoption import adopt, examine, refuse
    from cvfp_opt.tuning.custom_code import load_code
    from cvfp_opt.tuning.plan import Request

    if definition is None and (settings or data or seed is not None):
        raise click.UsageError("--set, --data and --seed go with --definition")
    location = resolve_location(storage)
    asked = Request(
        definition=definition, study_name=name, settings=settings, data=data, seed=seed
    )
    wanted = asked.resolve(None) if definition is not None else None
    with open_for_reading(location) as store:
        found = store.patiently(lambda: examine(store, name, wanted))
    echo(f"study {name} in {location.shown}")
    print_lines(f"  {one.text}" for one in found if not one.refuses)
    refuse(name, found)
    if wanted is None:
        echo(
            "nothing was written; to go on with it, type "
            f"`cvfp-opt study adopt{location.option} --definition DEFINITION {positional(name)}`"
        )
        return
    code, tokens = load_code(wanted), wanted.load_tokens()
    if dry_run:
        echo("it can be adopted; nothing was written (--dry-run)")
        return
    with open_for_editing(location) as store:
        adopt(store, name, wanted, tokens, code)
    echo(
        f"adopted; to go on:  cvfp-opt run --study-name {quoted(name)}{location.option} "
        "--n-trials +10"
    )
