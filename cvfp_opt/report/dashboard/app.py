"""optuna-dashboard on a study database, behind the gate."""

import logging
import socket
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optuna_dashboard import wsgi

from cvfp_opt.errors import ServerError, StorageError, StudyError
from cvfp_opt.escaping import printable
from cvfp_opt.report.dashboard.artifacts import NamedArtifacts
from cvfp_opt.report.dashboard.dashboard_private import forget_cached_studies
from cvfp_opt.report.dashboard.download_routes import add_download_routes
from cvfp_opt.report.dashboard.fence import Fence
from cvfp_opt.report.dashboard.gate import EVERYTHING, Gate, OneToken, Rules, host_name
from cvfp_opt.report.dashboard.legible_storage import LegibleStorage
from cvfp_opt.report.dashboard.note_routes import add_note_routes
from cvfp_opt.report.dashboard.server import Address
from cvfp_opt.report.dashboard.study_routes import add_study_routes
from cvfp_opt.report.dashboard.style import Styled
from cvfp_opt.report.dashboard.views import Checked, plain_error
from cvfp_opt.store.database.optuna_private import study_id_of
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.files.artifact_stores import ArtifactStore
from cvfp_opt.store.files.bug_log import write_bug_log
from cvfp_opt.store.files.dashboard_token import Token
from cvfp_opt.store.record.studies import load_study, study_names

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_LOOPBACK = ("localhost", "localhost.localdomain")
# Seconds before the same fault is reported again.
_QUIET = 60.0
LIST_PATH = "/dashboard"


@dataclass(frozen=True, kw_only=True)
class Opening:
    """The page that the dashboard opens on: a study's, or the list of all.

    Attributes:
        words: what it is, for a line of text.
        path: of the page.
    """

    words: str
    path: str

    @classmethod
    def of(cls, store: Store, study_name: str | None) -> "Opening":
        """Choose the page of a study, or of the only one there is.

        Raises:
            StudyError: there is none, or none of that name.
        """
        names = study_names(store)
        if not names and study_name is None:
            where = store.location.where
            raise StudyError(f"{where}: there is no study yet; type `cvfp-opt run`")
        if study_name is None and len(names) > 1:
            return cls(words=f"{len(names)} studies", path=LIST_PATH)
        study = load_study(store, study_name or names[0])
        path = f"{LIST_PATH}/studies/{study_id_of(study)}"
        return cls(words=f"study {study.study_name}", path=path)


def make_app(
    store: Store,
    artifacts: ArtifactStore,
    rules: Rules,
    notify: Callable[[str], None],
    *,
    home: str = LIST_PATH,
    read_only: bool = False,
) -> "WSGIApplication":
    """Make the application of `dashboard`: optuna-dashboard behind the gate.

    Args:
        store: the database, open for reading where nothing may be changed.
        artifacts: of its studies.
        rules: who may do what.
        notify: called with a line for each failure.
        home: the path that ``/`` leads to.
        read_only: whether nothing may be changed.
    """
    app = make_dashboard(store, artifacts, notify, home=home, read_only=read_only)
    return Gate(app, rules, Failures(notify))


class Failures:
    """Tells of requests that failed: a line each, and an account in a file.

    Args:
        notify: called with the line.
    """

    def __init__(self, notify: Callable[[str], None]) -> None:
        self._notify = notify
        self._notified: dict[str, float] = {}

    def __call__(self, error: Exception, request: str) -> None:
        account = f"{request}\n\n{''.join(traceback.format_exception(error))}"
        try:
            where = f"its account is in {write_bug_log(account)}"
        except StorageError as refusal:
            where = f"its account is lost: {refusal}"
        now = time.monotonic()
        if now - self._notified.get(where, -_QUIET) >= _QUIET:  # pages ask every few seconds
            self._notified[where] = now
            line = f"{request}: {type(error).__name__}: {error}; {where}"
            self._notify(printable(line))


def make_dashboard(
    store: Store,
    artifacts: ArtifactStore,
    notify: Callable[[str], None],
    *,
    home: str = LIST_PATH,
    read_only: bool = False,
) -> Fence:
    """Make optuna-dashboard, with a fence around it; see ``make_app``."""

    def notify_line(line: str) -> None:
        notify(printable(line))

    named = NamedArtifacts(artifacts, store)
    app = wsgi(LegibleStorage(store), artifact_store=named)
    app.catchall = False  # the gate catches all
    app.default_error_handler = plain_error
    app.install(Checked(store))
    add_study_routes(app, store, artifacts, notify_line)
    add_download_routes(app, store, named)
    add_note_routes(app, store)
    for name in ("optuna_dashboard", "waitress"):
        logger = logging.getLogger(name)
        logger.handlers = [_Lines(notify_line)]
        logger.propagate = False

    def forget(study_ids: Iterable[int]) -> None:
        store.forget(study_ids)
        forget_cached_studies(app)

    return Fence(Styled(app), home=home, read_only=read_only, forget=forget)


def host_names(address: Address, others: Sequence[str] = ()) -> frozenset[str]:
    """List the names by which a server there may be asked for.

    Args:
        address: of the server.
        others: further ones, as the user typed them.

    Raises:
        ServerError: one that is no name of a host.
    """
    names = {*_LOOPBACK, address.host.lower(), *map(_typed_name, others)}
    if not address.is_local:
        names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
    return frozenset(names)


def make_rules(address: Address, token: Token | None, *, other_names: Sequence[str] = ()) -> Rules:
    """Make the rules of a dashboard that listens at ``address``.

    Args:
        address: of the server.
        token: what has to be shown; None if nothing has.
        other_names: hosts by which others ask for it, as the user typed them.

    Raises:
        ServerError: one that is no name of a host.
    """
    return Rules(
        names=host_names(address, other_names),
        keys=None if token is None else OneToken(token),
        others=EVERYTHING if token is None else None,
        whence="It was printed when the dashboard was started for the first time; "
        "<code>cvfp-opt dashboard --new-token</code> makes another one.",
    )


def _typed_name(name: str) -> str:
    found = host_name(name)
    if not found or found != name.strip("[]").lower():
        raise ServerError(
            f"--allow-host {name}: the name of a host is required, as browsers ask for it, "
            "without http:// and port"
        )
    return found


class _Lines(logging.Handler):
    """Notifies of what the dashboard and its server log, a line each, without their traces."""

    def __init__(self, notify: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._notify = notify

    def emit(self, record: logging.LogRecord) -> None:
        line = next(iter(record.getMessage().splitlines()), "")
        error = record.exc_info[1] if record.exc_info else None
        self._notify(line if error is None else f"{line}: {type(error).__name__}: {error}")
