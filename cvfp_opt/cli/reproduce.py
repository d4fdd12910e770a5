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
    from dataclasses import asdict

    from cvfp_opt.api.display.console import make_console
    from cvfp_opt.api.display.training import ConsoleTraining
    from cvfp_opt.cli.console import print_json, print_lines
    from cvfp_opt.report.reproduction import reproduction_lines
    from cvfp_opt.single import reproduce as library
    from cvfp_opt.training.device import resolve_device, set_threads
    from cvfp_opt.tuning.environment import describe_environment

    environment = describe_environment(resolve_device(device), set_threads(threads))
    console = make_console(stderr=as_json)
    report = {}
    for key in NAMES[:-1] if name == "all" else [name]:
        experiment = library.EXPERIMENTS[key]
        count = tokens or experiment.tokens
        rows = []
        for variant in experiment.variants:
            definition = library.define(experiment, variant, count)
            console.print()
            console.print(f"{key}: {variant.label}, {count} tokens", style="bold")
            with ConsoleTraining(console).show(definition, notices=False) as table:
                rows.append(
                    library.reproduce(
                        definition, variant, table.observe, environment, table.notice
                    )
                )
        report[key] = {
            "title": experiment.title,
            "tokens": count,
            "explanation": experiment.explanation,
            "variants": [asdict(row) for row in rows],
        }
        if not as_json:
            print_lines(["", *reproduction_lines(key, report[key], library.STANDARD_TOKENS)])
    if as_json:
        print_json(report)
