"""``submit``: create a study for workers to run."""

from typing import TYPE_CHECKING, Any, cast

import click

from cvfp_opt.cli.console import echo, print_json
from cvfp_opt.cli.options import (
    data_option,
    json_option,
    seed_option,
    set_option,
    storage_option,
    study_name_option,
    together,
)
from cvfp_opt.escaping import positional

if TYPE_CHECKING:
    from cvfp_opt.api.wishes import Wishes

_COUNT = click.IntRange(min=1, max=999_999_999)

wish_options = together(
    click.option("--n-trials", type=_COUNT, metavar="N", help="Total number of trials."),
    click.option(
        "--priority",
        type=int,
        metavar="N",
        help="Studies of the highest priority are served first. [default: 0]",
    ),
    click.option(
        "--weight",
        type=float,
        metavar="W",
        help="Share of the workers among studies of one priority. [default: 1]",
    ),
    click.option(
        "--max-workers",
        type=_COUNT,
        metavar="N",
        help="Workers that may run its trials at once; 1 keeps proposals repeatable.",
    ),
    click.option(
        "--budget-hours", type=float, metavar="H", help="Hours that its trials may take together."
    ),
    click.option(
        "--max-failed", type=_COUNT, metavar="N", help="Failed trials after which none begins."
    ),
    click.option(
        "--until",
        metavar="TIME",
        help="Time after which no trial begins, as 2027-01-31T18:00, of this machine's zone.",
    ),
    click.option("--tag", "tags", multiple=True, help="A word to find it by. May be repeated."),
)


def said_wishes(**wishes: Any) -> "Wishes":
    """Leave out what was not typed."""
    return cast("Wishes", {key: value for key, value in wishes.items() if value not in (None, ())})


def wish_words(value: Any) -> str:
    """Write what is wanted of a study in a few words."""
    if isinstance(value, list):
        return ", ".join(value) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value in (None, "") else str(value)


@click.command(epilog="Example: cvfp-opt submit quick --n-trials 20 --weight 2 --tag paper")
@click.argument("definition", required=False)
@storage_option
@study_name_option
@wish_options
@seed_option
@data_option
@set_option
@json_option
def submit(
    definition: str | None,
    storage: str | None,
    study_name: str | None,
    seed: int | None,
    data: str | None,
    settings: tuple[str, ...],
    as_json: bool,
    **wishes: Any,
) -> None:
    """Create a study for workers to run, and return at once.

    DEFINITION is a name (recommended, quick, ...) or the path of a .toml file. Workers that stay
    (`cvfp-opt worker`) run its trials. Typed again, the command changes nothing.
    """
    from cvfp_opt.api.submitting import submit_request
    from cvfp_opt.store.database.location import resolve_location
    from cvfp_opt.store.doctor.finding import counted
    from cvfp_opt.tuning.plan import Request

    location = resolve_location(storage)
    request = Request(
        definition=definition, study_name=study_name, settings=settings, data=data, seed=seed
    )
    done = submit_request(location, request, said_wishes(**wishes))
    if as_json:
        print_json(done.to_dict())
        return
    total = done.entry.total
    trials = "no total" if total is None else counted(total, "trial")
    if not done.created:
        echo(f"study {done.name} is there already, with {trials}: nothing was changed")
        return
    words = f"{location.option} {positional(done.name)}"
    echo(f"study {done.name} is submitted, {trials}; to see how it goes, type")
    echo(f"  cvfp-opt status{words} --watch")
    echo("workers run it, if there are any (`cvfp-opt queue`); to start one here, type")
    echo(f"  cvfp-opt worker{location.option}")
