"""``confirm``: the best trials again, on seeds that the search never used."""

import sys
from functools import partial

import click

from cvfp_opt.cli.options import (
    allow_code_option,
    compute_options,
    engine_options,
    json_option,
    named_study,
    storage_option,
)


@click.command(epilog="Example: cvfp-opt confirm quick --top 5 --seeds 5")
@named_study
@storage_option
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    metavar="N",
    help="Number of the best trials to confirm.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=2, max=10_000),  # runs are entered before the first begins
    default=5,
    show_default=True,
    metavar="N",
    help="Fresh seeds for each point; a later command may ask for more.",
)
@click.option(
    "--windows",
    is_flag=True,
    help="Give each seed a part of the text of its own, which the search did not read.",
)
@click.option("--data", type=click.Path(), help="Where the study's text is now.")
@allow_code_option
@compute_options
@click.option(
    "--n-jobs",
    type=int,
    metavar="N",
    help="Processes that share the threads. [default: one a thread, up to 4; 1 on a GPU]",
)
@engine_options
@json_option
def confirm(
    storage: str | None,
    study_name: str | None,
    top: int,
    seeds: int,
    windows: bool,
    data: str | None,
    allow_code: bool,
    device: str,
    threads: int | None,
    n_jobs: int | None,
    engine: str,
    scheduler: str | None,
    as_json: bool,
) -> None:
    """Run the best trials, the default point and the untrained net on fresh seeds.

    Prints the mean of each with its 95 % interval, how it compares with the default point seed by
    seed, and whether the winner is as good as reported. The runs are kept in the database as study
    NAME/confirm. After a stop or a crash the same command goes on; typed on several machines, it
    shares the runs among them.
    """
    from cvfp_opt.api.display.console import make_console, print_line
    from cvfp_opt.api.display.search import view_on
    from cvfp_opt.api.opening import open_summary
    from cvfp_opt.api.running import Assignment, confirm_study
    from cvfp_opt.cli.console import print_json, print_lines
    from cvfp_opt.report.confirmation import confirmation_of
    from cvfp_opt.report.confirmation_words import confirmation_lines, confirmation_table
    from cvfp_opt.store.database.location import resolve_location
    from cvfp_opt.store.database.retry import Patience
    from cvfp_opt.tuning.limits import Limits
    from cvfp_opt.tuning.plan import Request
    from cvfp_opt.workers.shares import Workers

    console = make_console(stderr=as_json)
    patiently = Patience(notify=partial(print_line, console))
    location = resolve_location(storage)
    with open_summary(location, study_name, patiently) as summary:
        name = summary.name
    assignment = Assignment(
        location=location,
        request=Request(study_name=name, data=data, allow_code=allow_code, confirms=True),
        workers=Workers(
            device=device, threads=threads, n_jobs=n_jobs, engine=engine, scheduler=scheduler
        ),
        limits=Limits(),
        view=view_on(console),
    )
    stopped = confirm_study(assignment, summary, top=top, num_seeds=seeds, windows=windows)
    if stopped:
        print_line(console, "stopped; what is done is kept: type the same command to go on")
    with open_summary(location, name, patiently) as summary:
        found = confirmation_of(summary)
    assert found is not None, "it was entered"
    if as_json:
        print_json(found.to_dict())
    else:
        console.print()
        console.print(confirmation_table(found))
        print_lines(["", *confirmation_lines(found)])
    sys.exit(stopped.exit_code if stopped else 0)
