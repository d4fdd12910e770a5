"""``reproduce``: the original report's bugs and tests, run again."""

import click

from cvfp_opt.cli.options import Name, compute_options, json_option

NAMES = ("bug-1", "bug-2", "test-1", "test-2", "all")


@click.command(epilog="Example: cvfp-opt reproduce bug-1")
@click.argument("name", type=Name(NAMES))
@click.option(
    "--tokens",
    type=click.IntRange(min=64),
    help="Training tokens. [default: 256 for bug-1, 64 for bug-2, 6400 for the tests]",
)
@compute_options
@json_option
def reproduce(
    name: str, tokens: int | None, device: str, threads: int | None, as_json: bool
) -> None:
    """Run a bug and its fix, or a test of the report, and print both sets of figures.

    At the standard size of the network. The bugs take a minute or two; the tests at their full
    6400 tokens take from ten minutes to an hour, and go on where they were stopped when the same
    command is typed again.
    """
    from cvfp_opt.api.display.console import make_console
    from cvfp_opt.api.display.training import ConsoleTraining
    from cvfp_opt.api.reproducing import reproductions
    from cvfp_opt.cli.console import print_json, print_lines
    from cvfp_opt.report.reproduction import reproduction_lines
    from cvfp_opt.single.reproduce import STANDARD_TOKENS

    view = ConsoleTraining(make_console(stderr=as_json))
    names = NAMES[:-1] if name == "all" else (name,)
    report = {}
    for key, found in reproductions(names, view, tokens=tokens, device=device, threads=threads):
        report[key] = found
        if not as_json:
            print_lines(["", *reproduction_lines(key, found, STANDARD_TOKENS)])
    if as_json:
        print_json(report)
