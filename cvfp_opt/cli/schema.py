"""``schema``: what the JSON of a command looks like."""

import click

from cvfp_opt.cli.console import echo, print_json


@click.command(epilog="Example: cvfp-opt schema trial show")
@click.argument("words", nargs=-1, metavar="[COMMAND]")
def schema(words: tuple[str, ...]) -> None:
    """Print the JSON Schema of what COMMAND prints with --json, or list these commands.

    Schemas have a version, at the end of their `$id`. Within a version keys may be added, and none
    goes or changes.
    """
    from cvfp_opt.api import schemas

    if words:
        print_json(schemas.schema(" ".join(words)))
        return
    for name, entry in schemas.ENTRIES.items():
        echo(f"{name:<14}  {entry.what}")
