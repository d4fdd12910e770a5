"""``token``: make, list and revoke the tokens of `serve`."""

import click

from cvfp_opt.cli.console import echo, print_json, print_lines
from cvfp_opt.cli.options import json_option, storage_option


@click.group(epilog="Example: cvfp-opt token add alice --scope read --scope submit")
def token() -> None:
    """Make, list and revoke the tokens that `serve` asks for."""


@token.command(epilog="Example: cvfp-opt token add alice --scope read --scope submit --days 90")
@click.argument("name")
@storage_option
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    default=("read",),
    show_default=True,
    metavar="read|submit|control|admin",
    help="What it is good for; `admin` for all. May be repeated.",
)
@click.option(
    "--studies",
    default="",
    metavar="BEGINNING",
    help="Only for studies whose names begin so. [default: all]",
)
@click.option(
    "--days", type=float, metavar="DAYS", help="Expire after so many days. [default: never]"
)
def add(
    name: str, storage: str | None, scopes: tuple[str, ...], studies: str, days: float | None
) -> None:
    """Make a token, and print it this once.

    NAME is the owner of what is submitted with it.
    """
    from cvfp_opt.api.opening import locate
    from cvfp_opt.api.tokens import add_token

    location = locate(storage)
    text = add_token(name, scopes, studies=studies, days=days, storage=location)
    echo(f"token {name}, shown this once ({location.shown} holds its digest):", err=True)
    echo(text)


@token.command("list", epilog="Example: cvfp-opt token list")
@storage_option
@json_option
def list_tokens(storage: str | None, as_json: bool) -> None:
    """List the tokens: what each is good for, until when, and when it was shown last."""
    from cvfp_opt.api.display.console import make_console
    from cvfp_opt.api.tokens import tokens
    from cvfp_opt.report.tokens import token_lines

    found = tokens(storage=storage)
    if as_json:
        print_json([one.to_dict() for one in found])
    elif found:
        print_lines(token_lines(found, make_console().width))
    else:
        echo("there is no token; `cvfp-opt token add` makes one")


@token.command(epilog="Example: cvfp-opt token revoke alice")
@click.argument("name")
@storage_option
def revoke(name: str, storage: str | None) -> None:
    """Make a token good for nothing, at once and for ever."""
    from cvfp_opt.api.tokens import revoke_token

    revoke_token(name, storage=storage)
    echo(f"token {name} is revoked")
