"""``verify``: the original report's tests of a network."""

import sys
from dataclasses import asdict
from pathlib import Path

import click

from cvfp_opt.cli.options import Name, json_option


@click.command(epilog="Example: cvfp-opt verify quick standard")
@click.argument("protocol", type=Name(("quick", "standard")))
@click.argument("source", default="standard")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="Change the definition, or fix a parameter, not of a checkpoint; repeatable.",
)
@click.option("--threads", type=int, help="Threads of torch. [default: all processors]")
@json_option
def verify(
    protocol: str, source: str, settings: tuple[str, ...], threads: int | None, as_json: bool
) -> None:
    """Check effective rank, identity map and convergence, on seen and on validation text.

    PROTOCOL is quick (100 tokens, 5 iterations) or standard (6400 and 1280 tokens, 10 iterations).
    SOURCE is a checkpoint (a folder that `train --save` wrote), or a definition that fixes all
    parameters, which is trained first. Exit code 1 if a check fails.
    """
    from cvfp_opt.api.display.console import make_console
    from cvfp_opt.api.display.training import ConsoleTraining
    from cvfp_opt.api.single_runs import verify_network_of
    from cvfp_opt.cli.console import print_json, print_lines
    from cvfp_opt.disk import is_folder
    from cvfp_opt.report.tables import checks_table
    from cvfp_opt.store.doctor.finding import counted
    from cvfp_opt.tuning.plan import Request

    saved = is_folder(Path(source))
    if saved and settings:
        raise click.UsageError("--set changes a definition; a checkpoint is fixed: leave it out")
    found = Request(definition=source, settings=settings).resolve(None) if not saved else None
    view = ConsoleTraining(make_console(stderr=as_json))
    checks = verify_network_of(found or Path(source), protocol, view, threads=threads)
    failed = sum(not check.passed for check in checks)
    if as_json:
        print_json([asdict(check) for check in checks])
    else:
        console = make_console()
        console.print()
        console.print(checks_table([asdict(check) for check in checks]))
        made = counted(len(checks), "check")
        print_lines(["", f"{failed} of {made} failed" if failed else "all passed"])
    sys.exit(1 if failed else 0)
