"""`serve`: the queue's interface over HTTP, and the dashboard beside it, in one process."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from http.client import HTTPConnection
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cvfp_opt.api.dashboard import until_signalled
from cvfp_opt.api.opening import artifacts_of, locate
from cvfp_opt.notify.sender import sending
from cvfp_opt.report.dashboard.gate import Gate, Rules
from cvfp_opt.report.dashboard.request_target import Places, base_path
from cvfp_opt.report.dashboard.server import Address, Server, printed_host
from cvfp_opt.service.application import Service
from cvfp_opt.service.desk import Desk
from cvfp_opt.service.keys import StoredTokens
from cvfp_opt.service.routes import OPEN, ROUTES, SEGMENTED
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.retry import PATIENCE_SECONDS, Patience
from cvfp_opt.store.database.storage import Store, open_for_search
from cvfp_opt.store.files.artifact_stores import open_artifacts
from cvfp_opt.store.record.owner import this_owner
from cvfp_opt.store.record.tokens import Rights, Scope, read_tokens
from cvfp_opt.supervision import Supervisor

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

Say = Callable[[str], None]

# Reports of large studies may keep all its threads busy for a while: that is no fault.
_ANSWER_SECONDS = 30.0


def serve(
    *,
    storage: str | os.PathLike[str] | Location | None = None,
    artifacts: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8080,
    allowed_hosts: Sequence[str] = (),
    base_path: str = "",
    patience_seconds: float = PATIENCE_SECONDS,
) -> None:
    """Serve the queue, the interface over HTTP and the dashboard until ^C, and return then.

    Prints the address. docs/service.md says what may be asked there, and by whom.

    Args:
        storage: path or URL of the database; None for CVFP_OPT_STORAGE, or storage/cvfp.db.
        artifacts: where files of trials lie; None for CVFP_OPT_ARTIFACTS, or beside it.
        host: address to listen on; beyond this machine a token is required, see `add_token`.
        port: port to listen on; 0 for any free one.
        allowed_hosts: further names of this server, a proxy's for instance; then a token is
            required.
        base_path: path that a proxy has put before all others, as "/cvfp"; then a token is
            required.
        patience_seconds: how long to wait, at the start, for a database that does not answer.

    Raises:
        ServerError: the port is taken, or the host is none of this machine.
        StorageError: the database cannot be written to.
    """
    serve_all(
        locate(storage),
        Address(host=host, port=port),
        artifacts=artifacts_of(artifacts),
        allowed_hosts=allowed_hosts,
        base=base_path,
        patience_seconds=patience_seconds,
    )


def serve_all(
    location: Location,
    address: Address,
    *,
    artifacts: str | None = None,
    allowed_hosts: Sequence[str] = (),
    base: str = "",
    patience_seconds: float = PATIENCE_SECONDS,
    say: Say = print,
    warn: Say = print,
) -> int:
    """Serve until a signal comes; return its number, 0 if none came.

    Args:
        location: of the database, which may be a new one.
        address: to listen on.
        artifacts: where files of trials lie.
        allowed_hosts: further names of this server.
        base: the path that a proxy has put before all others.
        patience_seconds: how long to wait, at the start, for a database that does not answer.
        say, warn: given what the user must know.
    """
    base = base_path(base)
    with open_for_search(location, Patience(seconds=patience_seconds, notify=warn)):
        pass  # from here on whoever asks is told at once that a database is away
    with open_for_search(location) as store, until_signalled() as signals:
        rules = make_rules(store, address, allowed_hosts, base)
        desk = Desk(
            store=store, files=open_artifacts(location, artifacts), artifacts=artifacts, base=base
        )
        server = Server(make_service(desk, rules, warn), address)
        say(
            f"queue, dashboard and API of {location.shown}: "
            f"http://{printed_host(address.host)}:{server.port}{base}/"
        )
        if rules.others is None:
            _say_tokens(store, say)
        say("stop with ^C")
        supervisor = Supervisor.of()
        with (
            sending(store, warn, always=True),
            supervisor.watched(partial(_answers, address, server.port)),
        ):
            supervisor.ready(f"serves {location.where}")
            try:
                server.run()
            finally:
                supervisor.stopping()
    return signals[0] if signals else 0


def make_rules(
    store: Store, address: Address, allowed_hosts: Sequence[str] = (), base: str = ""
) -> Rules:
    """Make the rules of a server that listens at ``address``.

    Whoever may come from elsewhere has to show a token; on one's own machine, nobody has to.

    Args:
        store: has the tokens.
        address: of the server.
        allowed_hosts: further names of this server, as the user typed them.
        base: the path that a proxy has put before all others.

    Raises:
        ServerError: one that is no name of a host.
    """
    from cvfp_opt.report.dashboard.app import host_names

    alone = address.is_local and not allowed_hosts and not base
    everybody = Rights(name=this_owner(), scopes=frozenset((Scope.ADMIN,)))
    return Rules(
        names=host_names(address, allowed_hosts),
        keys=StoredTokens(store),
        others=everybody if alone else None,
        open_paths=OPEN,
        by_link=False,
        places=Places(base=base, segmented=SEGMENTED),
        title="server",
        whence="Whoever runs the server makes one: <code>cvfp-opt token add NAME</code>.",
    )


def make_service(desk: Desk, rules: Rules, warn: Say) -> "WSGIApplication":
    """Make the application, behind the gate.

    Args:
        desk: what there is to answer with.
        rules: who may do what.
        warn: called with a line for each failure.
    """
    from cvfp_opt.report.dashboard.app import LIST_PATH, Failures, make_dashboard

    home = f"{desk.base}{LIST_PATH}"
    dashboard = make_dashboard(desk.store, desk.files, warn, home=home)
    service = Service(ROUTES, replace(desk, forget=dashboard.forget), dashboard)
    return Gate(service, rules, Failures(warn))


def _answers(address: Address, port: int) -> bool:
    """Check whether our own server answers a request; what it says does not matter."""
    where = ip_address(address.resolve()[1][0].partition("%")[0])
    if where.is_unspecified:
        where = ip_address("127.0.0.1" if where.version == 4 else "::1")
    connection = HTTPConnection(str(where), port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/livez")
        return bool(connection.getresponse().status)
    finally:
        connection.close()


def _say_tokens(store: Store, say: Say) -> None:
    option = store.location.option
    if not read_tokens(store):
        say(f"a token is asked for, and there is none yet: `cvfp-opt token add{option} NAME`")
    say("nothing is encrypted on the way: docs/service.md shows a proxy that does")
