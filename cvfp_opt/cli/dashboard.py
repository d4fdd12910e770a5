"""``dashboard``: a study in the browser."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import click

from cvfp_opt.cli.console import echo
from cvfp_opt.cli.options import artifacts_option, storage_option, study_name_option

if TYPE_CHECKING:
    from optuna import Study

    from cvfp_opt.store.database.location import Location
    from cvfp_opt.store.database.storage import Store
    from cvfp_opt.store.files.dashboard_token import Token


@click.command(epilog="Example: cvfp-opt dashboard --study-name quick --read-only")
@study_name_option
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
    from cvfp_opt.report.dashboard.app import Opening, make_app, make_rules
    from cvfp_opt.report.dashboard.server import Address, Server, printed_host
    from cvfp_opt.store.database.location import resolve_location
    from cvfp_opt.store.database.storage import open_for_editing, open_for_reading
    from cvfp_opt.store.files.artifact_stores import open_artifacts

    location = resolve_location(storage)
    address = Address(host=host, port=port)
    with open_for_reading(location) as store:  # refuses what is no study database
        opening = Opening.of(store, study_name)
    if refresh:
        _refresh(location, study_name, artifacts)
    open_store = open_for_reading if read_only else open_for_editing
    with open_store(location) as store, _stopping() as signals:
        token, shown = _token(location, new_token, open=address.is_local and not allowed_hosts)
        rules = make_rules(address, opening, token, read_only=read_only, other_names=allowed_hosts)
        app = make_app(store, open_artifacts(location, artifacts), rules, _notify)
        server = Server(app, address)
        url = f"http://{printed_host(host)}:{server.port}{opening.path}"
        echo(f"{opening.words}: {url}{f'?token={shown}' if shown else ''}")
        echo("stop with ^C")
        server.run()
    echo("stopped")
    sys.exit(128 + signals[0] if signals else 0)


def _refresh(location: "Location", study_name: str | None, artifacts: str | None) -> None:
    """Write the page of a study, or of all of ours, and the curves that their trials lack."""
    from cvfp_opt.report.dashboard.page import refresh, write_missing_curves
    from cvfp_opt.store.database.storage import open_for_editing
    from cvfp_opt.store.files.artifact_stores import open_artifacts
    from cvfp_opt.store.record.studies import load_study, study_names

    def leave_curves(store: "Store", study: "Study") -> None:
        write_missing_curves(store, study, open_artifacts(location, artifacts))

    def write_page(store: "Store", study: "Study") -> None:
        refresh(store, study, _notify)

    for write in (leave_curves, write_page):
        with open_for_editing(location) as store:  # each one anew: it reads ended trials once
            for name in [study_name] if study_name else study_names(store):
                write(store, load_study(store, name))


def _token(location: "Location", new: bool, *, open: bool) -> "tuple[Token | None, str]":
    """Make or load the token that has to be shown, with its text if it is new; nothing if open."""
    from cvfp_opt.report.words import moment
    from cvfp_opt.store.files.dashboard_token import load_token, make_token, token_path

    if open:
        if new:
            raise click.UsageError(
                "--new-token: is for --allow-host and a --host beyond this machine; here no token "
                "is asked for"
            )
        return None, ""
    path = token_path(location)
    token = None if new else load_token(path)
    if token is not None:
        echo(
            f"the token that was printed on {moment(token.created)} is asked for; "
            "to make another one, add --new-token"
        )
        return token, ""
    text, token = make_token(path)
    echo(f"token, shown this once ({path} holds its digest): {text}")
    echo("nothing is encrypted on the way: docs/dashboard.md shows a tunnel")
    return token, text


def _notify(line: str) -> None:
    echo(line, err=True)


@contextmanager
def _stopping() -> Iterator[list[int]]:
    """Treat SIGTERM as ^C; give the signals that came, of which the first ends the server."""
    came: list[int] = []

    def receive(signum: int, frame: FrameType | None) -> None:
        came.append(signum)
        raise KeyboardInterrupt

    before = {one: signal.signal(one, receive) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
