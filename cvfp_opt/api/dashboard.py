"""Studies in the browser, by optuna-dashboard behind a gate."""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from cvfp_opt.api.opening import artifacts_of, locate
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import open_for_editing, open_for_reading

if TYPE_CHECKING:
    from optuna import Study

    from cvfp_opt.report.dashboard.server import Address
    from cvfp_opt.store.database.storage import Store
    from cvfp_opt.store.files.dashboard_token import Token

Say = Callable[[str], None]


def dashboard(
    study: str | None = None,
    *,
    storage: str | os.PathLike[str] | Location | None = None,
    artifacts: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8080,
    read_only: bool = False,
) -> None:
    """Show studies in the browser until ^C, and return then.

    Prints the address. docs/dashboard.md says what is to be seen, and who may see it.

    Args:
        study: name of the study to open; None for the only one, or a list.
        storage: path or URL of the database; None for CVFP_OPT_STORAGE, or storage/cvfp.db.
        artifacts: where files of trials lie; None for CVFP_OPT_ARTIFACTS, or beside it.
        host: address to listen on; beyond this machine a token is required, which is printed once.
        port: port to listen on; 0 for any free one.
        read_only: refuse all changes.

    Raises:
        ServerError: the port is taken, or the host is none of this machine.
        StudyError, StorageError: there is no such study or database.
    """
    from cvfp_opt.report.dashboard.server import Address

    address = Address(host=host, port=port)
    serve_dashboard(
        locate(storage),
        address,
        study_name=study,
        artifacts=artifacts_of(artifacts),
        read_only=read_only,
    )


def serve_dashboard(
    location: Location,
    address: "Address",
    *,
    study_name: str | None = None,
    artifacts: str | None = None,
    allowed_hosts: Sequence[str] = (),
    read_only: bool = False,
    refresh: bool = False,
    new_token: bool = False,
    say: Say = print,
    warn: Say = print,
) -> int:
    """Serve studies until a signal comes; return its number, 0 if none came.

    Args:
        location: of the database.
        address: to listen on.
        study_name: to open; None for the only one, or a list.
        artifacts: where files of trials lie.
        allowed_hosts: further names of this server.
        read_only: refuse all changes.
        refresh: write notes, figures and curves anew first.
        new_token: make a new token.
        say, warn: given what the user must know.
    """
    from cvfp_opt.report.dashboard.app import Opening, make_app, make_rules
    from cvfp_opt.report.dashboard.server import Server, printed_host
    from cvfp_opt.store.files.artifact_stores import open_artifacts

    with open_for_reading(location) as store:  # refuses what is no study database
        opening = Opening.of(store, study_name)
    if refresh:
        _refresh(location, study_name, artifacts, warn)
    open_store = open_for_reading if read_only else open_for_editing
    with open_store(location) as store, until_signalled() as signals:
        token, shown = None, ""
        if not address.is_local or allowed_hosts:
            token, shown = _token(location, new_token, say)
        rules = make_rules(address, token, other_names=tuple(allowed_hosts))
        files = open_artifacts(location, artifacts)
        app = make_app(store, files, rules, warn, home=opening.path, read_only=read_only)
        server = Server(app, address)
        url = f"http://{printed_host(address.host)}:{server.port}{opening.path}"
        say(f"{opening.words}: {url}{f'?token={shown}' if shown else ''}")
        say("stop with ^C")
        server.run()
    return signals[0] if signals else 0


def _refresh(location: Location, study_name: str | None, artifacts: str | None, warn: Say) -> None:
    """Write the page of a study, or of all of ours, and the curves that their trials lack."""
    from cvfp_opt.report.dashboard.page import refresh, write_missing_curves
    from cvfp_opt.store.files.artifact_stores import open_artifacts
    from cvfp_opt.store.record.studies import load_study, study_names

    def leave_curves(store: "Store", study: "Study") -> None:
        write_missing_curves(store, study, open_artifacts(location, artifacts))

    def write_page(store: "Store", study: "Study") -> None:
        refresh(store, study, warn)

    for write in (leave_curves, write_page):
        with open_for_editing(location) as store:  # each one anew: it reads ended trials once
            for name in [study_name] if study_name else study_names(store):
                write(store, load_study(store, name))


def _token(location: Location, new: bool, say: Say) -> "tuple[Token | None, str]":
    """Make or load the token that has to be shown, with its text if it is new."""
    from cvfp_opt.report.words import moment
    from cvfp_opt.store.files.dashboard_token import load_token, make_token, token_path

    path = token_path(location)
    token = None if new else load_token(path)
    if token is not None:
        say(
            f"the token that was printed on {moment(token.created)} is asked for; "
            "to make another one, add --new-token"
        )
        return token, ""
    text, token = make_token(path)
    say(f"token, shown this once ({path} holds its digest): {text}")
    say("nothing is encrypted on the way: docs/dashboard.md shows a tunnel")
    return token, text


@contextmanager
def until_signalled() -> Iterator[list[int]]:
    """Treat SIGTERM as ^C; give the signals that came, of which the first ends the server.

    One that comes before the server runs, or after, ends what is within as well.
    """
    came: list[int] = []

    def receive(signum: int, frame: FrameType | None) -> None:
        came.append(signum)
        raise KeyboardInterrupt

    before = {one: signal.signal(one, receive) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    except KeyboardInterrupt:
        if not came:
            raise
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
