"""``dashboard``: a study in the browser."""

import sys

import click

from cvfp_opt.cli.console import echo
from cvfp_opt.cli.options import artifacts_option, named_study, storage_option


@click.command(epilog="Example: cvfp-opt dashboard quick --read-only")
@named_study
@storage_option
@artifacts_option
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on. Beyond this machine a token is required, which is printed once.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="Port to listen on; 0 for any free one.",
)
@click.option(
    "--allow-host",
    "allowed_hosts",
    metavar="NAME",
    multiple=True,
    help="Another host name of this server, a proxy's for instance; then the token is required. "
    "May be repeated.",
)
@click.option("--read-only", is_flag=True, help="Refuse all changes.")
@click.option("--refresh", is_flag=True, help="Write notes, figures and curves anew, then serve.")
@click.option("--new-token", is_flag=True, help="Make a new token; the old one becomes invalid.")
def dashboard(
    study_name: str | None,
    storage: str | None,
    artifacts: str | None,
    host: str,
    port: int,
    allowed_hosts: tuple[str, ...],
    read_only: bool,
    refresh: bool,
    new_token: bool,
) -> None:
    """Show studies in the browser, by optuna-dashboard, until ^C.

    Without --study-name it opens on the only study there is, or on the list of all.
    docs/dashboard.md says what is to be seen, and who may see it.
    """
    from cvfp_opt.api.dashboard import serve_dashboard
    from cvfp_opt.api.opening import locate
    from cvfp_opt.report.dashboard.server import Address

    address = Address(host=host, port=port)
    if new_token and address.is_local and not allowed_hosts:
        raise click.UsageError(
            "--new-token: is for --allow-host and a --host beyond this machine; here no token "
            "is asked for"
        )
    stopped = serve_dashboard(
        locate(storage),
        address,
        study_name=study_name,
        artifacts=artifacts,
        allowed_hosts=allowed_hosts,
        read_only=read_only,
        refresh=refresh,
        new_token=new_token,
        say=echo,
        warn=_notify,
    )
    echo("stopped")
    sys.exit(128 + stopped if stopped else 0)


def _notify(line: str) -> None:
    echo(line, err=True)
