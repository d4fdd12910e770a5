"""``serve``: the queue over HTTP, with the dashboard beside it."""

import sys

import click

from cvfp_opt.cli.console import echo
from cvfp_opt.cli.options import artifacts_option, storage_option, wait_option


@click.command(epilog="Example: cvfp-opt serve --host 0.0.0.0 --port 8080")
@storage_option
@artifacts_option
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on. Beyond this machine a token is required.",
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
    help="Another host name of this server, a proxy's for instance; then a token is required. "
    "May be repeated.",
)
@click.option(
    "--base-path",
    default="",
    metavar="PATH",
    help="Path that a proxy has put before all others, as /cvfp; then a token is required.",
)
@wait_option
def serve(
    storage: str | None,
    artifacts: str | None,
    host: str,
    port: int,
    allowed_hosts: tuple[str, ...],
    base_path: str,
    wait_for_database: float,
) -> None:
    """Serve the queue over HTTP, and the dashboard beside it, until ^C.

    Beyond this machine each request has to show a token: `cvfp-opt token add` makes one. A
    database that is away is waited for at the start; later, requests are told so at once.
    docs/service.md says what may be asked.
    """
    from cvfp_opt.api.opening import locate
    from cvfp_opt.report.dashboard.server import Address
    from cvfp_opt.service.serving import serve_all

    stopped = serve_all(
        locate(storage),
        Address(host=host, port=port),
        artifacts=artifacts,
        allowed_hosts=allowed_hosts,
        base=base_path,
        patience_seconds=wait_for_database,
        say=echo,
        warn=lambda line: echo(line, err=True),
    )
    echo("stopped")
    sys.exit(128 + stopped if stopped else 0)
