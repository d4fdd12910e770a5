"""``trial replay``: a trial run again from its record, and compared with it."""

import sys

import click

from cvfp_opt.cli.options import allow_code_option, json_option, named_study, storage_option


@click.command(epilog="Example: cvfp-opt trial replay 3 quick")
@click.argument("number", type=click.IntRange(min=0), metavar="N")
@named_study
@storage_option
@click.option("--data", type=click.Path(), help="Where the study's text is now.")
@click.option("--threads", type=int, help="Threads of torch. [default: as many as it ran with]")
@click.option(
    "--device",
    metavar="auto|cpu|cuda",
    help="Where to compute. [default: where the trial ran, if that exists here]",
)
@allow_code_option
@json_option
def replay(
    number: int,
    storage: str | None,
    study_name: str | None,
    data: str | None,
    threads: int | None,
    device: str | None,
    allow_code: bool,
    as_json: bool,
) -> None:
    """Run trial N again from its record alone, and compare all of its figures and its weights.

    A trial that was pruned or broken off is run as far as its record goes. Nothing is written.
    Exit code 0 if all is identical, 1 if not.
    """
    from cvfp_opt.api.display.console import make_console
    from cvfp_opt.api.display.training import ConsoleTraining
    from cvfp_opt.api.opening import locate, open_summary
    from cvfp_opt.api.repeating import replay_trial
    from cvfp_opt.cli.console import print_json, print_lines
    from cvfp_opt.report.replay import replay_lines
    from cvfp_opt.rerun.repeat import Conditions

    conditions = Conditions(data=data, device=device, threads=threads, allow_code=allow_code)
    with open_summary(locate(storage), study_name) as summary:
        pass  # a snapshot: training needs no database
    view = ConsoleTraining(make_console(stderr=as_json))
    done = replay_trial(summary, number, conditions, view)
    if as_json:
        print_json(done)
    else:
        print_lines(["", *replay_lines(done)])
    sys.exit(0 if done["identical"] else 1)
