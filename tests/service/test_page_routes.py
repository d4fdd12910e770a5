"""The page and its forms over HTTP: who may do what, and what a browser is told."""

import threading
from collections.abc import Callable, Iterator

import optuna
import pytest
from claiming import Workers, take
from doctoring import RECORD
from known_studies import EVIL
from serving import Client

from cvfp_opt.report.dashboard.server import Address, Server
from cvfp_opt.service.desk import Desk
from cvfp_opt.service.serving import make_rules, make_service
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import Store, open_for_search
from cvfp_opt.store.files.artifact_stores import open_artifacts
from cvfp_opt.store.queue import control
from cvfp_opt.store.queue.leases import LeaseLost, Worker
from cvfp_opt.store.queue.workers import StayingWorker, Wanted, join, read_workers
from cvfp_opt.store.record.queue_entry import QueueEntry, QueueState
from cvfp_opt.store.record.studies import create_study, load_study
from cvfp_opt.store.record.tokens import add_token

NAME = f"team/{EVIL}"
PATH = f"/studies/team%2F{EVIL.replace('/', '%2F').replace('<', '%3C').replace('>', '%3E')}"
FORM = "application/x-www-form-urlencoded"

Serve = Callable[..., Client]

# What they ask of a database is tried with each kind where it is done.
pytestmark = pytest.mark.parametrize("location", ["sqlite"], indirect=True)


@pytest.fixture
def store(location: Location) -> Iterator[Store]:
    """An open database of each kind."""
    with open_for_search(location) as opened:
        yield opened


@pytest.fixture
def study(store: Store) -> optuna.Study:
    """A study with a total of 5 and a name of every kind of character."""
    made = create_study(store, NAME, RECORD)
    control.amend(store, made, {"total": 5})
    return made


@pytest.fixture
def serve(store: Store, study: optuna.Study) -> Iterator[Serve]:
    """Start a server, at an address of this machine, that asks for tokens if it has a base."""
    clients: list[Client] = []

    def start(base: str = "") -> Client:
        said: list[str] = []
        address = Address(host="127.0.0.1", port=0)
        desk = Desk(store=store, files=open_artifacts(store.location, None), base=base)
        app = make_service(desk, make_rules(store, address, (), base), said.append)
        server = Server(app, address)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        clients.append(Client(server.port, server, thread, said))
        return clients[-1]

    yield start
    for client in clients:
        client.end()
        assert client.said == []


def entry(store: Store) -> QueueEntry:
    return QueueEntry.of(load_study(store, NAME).user_attrs)


def send(client: Client, path: str, version: object = 1, **headers: str) -> tuple[int, str, str]:
    """Send a form as a browser does; give status, where it leads, and the page."""
    body = f"version={version}".encode()
    given = {"content_type": FORM, "accept": "text/html", **headers}
    answer = client.ask(path, "POST", body, **given)
    return answer.status, answer.headers.get("location", ""), answer.body.decode()


def test_the_page_is_a_page_with_one_script_that_its_policy_knows(serve: Serve) -> None:
    answer = serve().ask("/", accept="text/html")
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = answer.headers["content-security-policy"]
    assert "script-src 'sha256-" in policy
    assert "connect-src 'self'" in policy
    assert "unsafe-inline" not in policy.replace("style-src 'unsafe-inline'", "")
    page = answer.body.decode()
    assert "0 of 5" in page
    assert EVIL not in page


def test_a_button_does_what_it_says_and_leads_back(serve: Serve, store: Store) -> None:
    client = serve()
    study = load_study(store, NAME)
    writer = take(Workers(store, study).add())
    assert send(client, f"{PATH}/pause")[:2] == (303, "/#studies")
    assert entry(store).state is QueueState.PAUSED
    writer.renew()  # its trial runs on
    assert send(client, f"{PATH}/resume", 2)[:2] == (303, "/#studies")
    assert entry(store).state is QueueState.OPEN
    assert send(client, f"{PATH}/cancel", 3)[:2] == (303, "/#studies")
    assert entry(store).state is QueueState.CANCELLED
    with pytest.raises(LeaseLost):
        writer.renew()
    writer.drop()


def test_a_page_that_is_old_changes_nothing_and_says_so(serve: Serve, store: Store) -> None:
    client = serve()
    study = load_study(store, NAME)
    control.amend(store, study, {"priority": 3})
    status, _, page = send(client, f"{PATH}/cancel")
    assert status == 412
    assert "Nothing was changed: study" in page
    assert "was changed meanwhile: version 1 was required, it has version 2" in page
    assert entry(store).state is QueueState.OPEN


@pytest.mark.parametrize("version", ["", "x", "-1", "1e3", "1" * 5000, "\u0661"])
def test_a_form_without_a_version_changes_nothing(
    serve: Serve, store: Store, version: str
) -> None:
    status, _, page = send(serve(), f"{PATH}/pause", version)
    assert status == 400
    assert "a whole number is required" in page
    assert entry(store).state is QueueState.OPEN


def test_what_is_not_there_or_done_is_refused_on_the_page(serve: Serve, store: Store) -> None:
    client = serve()
    status, _, page = send(client, "/studies/nobody/pause")
    assert (status, "there is no study &#39;nobody&#39;" in page) == (404, True)
    assert send(client, f"{PATH}/delete")[0] == 404
    study = load_study(store, NAME)
    for _ in range(5):
        take(Workers(store, study).add()).finish(optuna.trial.TrialState.COMPLETE, [0.5])
    status, _, page = send(client, f"{PATH}/pause")
    assert (status, "is done, 5 of 5 trials" in page) == (409, True)
    status, _, page = send(client, "/workers/ffff/drain")
    assert (status, "there is no worker with an id" in page) == (404, True)


def test_workers_are_drained_and_stopped(serve: Serve, store: Store) -> None:
    client = serve()
    worker = StayingWorker(**vars(Worker.of_this_process()))
    join(store, worker)
    assert send(client, f"/workers/{worker.worker}/drain")[:2] == (303, "/#workers")
    assert read_workers(store)[0].wanted is Wanted.DRAIN
    assert send(client, f"/workers/{worker.worker}/stop")[:2] == (303, "/#workers")
    assert read_workers(store)[0].wanted is Wanted.STOP


def test_nothing_changes_by_a_link_or_for_another_site(serve: Serve, store: Store) -> None:
    client = serve()
    for verb in ("pause", "cancel"):
        assert client.ask(f"{PATH}/{verb}").status == 405
        foreign = {"origin": "http://elsewhere.example"}
        assert send(client, f"{PATH}/{verb}", **foreign)[0] == 403
        cross = {"sec_fetch_site": "cross-site"}
        assert send(client, f"{PATH}/{verb}", **cross)[0] == 403
    own = {"origin": f"http://{client.host}", "sec_fetch_site": "same-origin"}
    assert send(client, f"{PATH}/pause", **own)[0] == 303
    assert entry(store).version == 2


def test_a_token_sees_and_does_what_it_is_good_for(serve: Serve, store: Store) -> None:
    client = serve("/cvfp")

    def asked(scopes: tuple[str, ...], studies: str = "") -> dict[str, str]:
        name = f"{'-'.join(scopes)}{studies}"
        return {"authorization": f"Bearer {add_token(store, name, scopes, studies=studies)}"}

    reader, keeper = asked(("read",)), asked(("read", "control"))
    team, other = asked(("read", "control"), "team/"), asked(("read", "control"), "other")
    assert client.ask("/").status == client.ask("/metrics").status == 401
    page = client.ask("/cvfp/", **reader).body.decode()
    assert "<form" not in page
    assert send(client, f"{PATH}/pause", **reader)[0] == 403
    assert "formaction" in client.ask("/", **keeper).body.decode()
    status, place, _ = send(client, f"/cvfp{PATH}/pause", **keeper)
    assert (status, place) == (303, "/cvfp/#studies")
    assert "team/" in client.ask("/", **team).body.decode()
    assert send(client, f"{PATH}/resume", 2, **team)[0] == 303
    assert "team/" not in client.ask("/", **other).body.decode()
    assert send(client, f"{PATH}/pause", 3, **other)[0] == 403
    for some in (team, other):  # about all studies
        assert client.ask("/metrics", **some).status == 403
        assert send(client, "/workers/ffff/drain", **some)[0] == 403
    assert client.ask("/metrics", **reader).status == 200
    assert entry(store).state is QueueState.OPEN


def test_prometheus_and_probes_are_answered(serve: Serve) -> None:
    client = serve("/cvfp")  # which asks for a token elsewhere
    for path in ("/livez", "/readyz", "/cvfp/readyz"):
        answer = client.ask(path)
        assert (answer.status, answer.body) == (200, b"ok\n")
        assert client.ask(path, "HEAD").status == 200
        assert client.ask(path, "POST").status == 405
    answer = serve().ask("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b'cvfp_opt_studies{stage="waiting"} 1.0\n' in answer.body


def test_a_database_that_is_away_is_not_ready_and_the_server_lives(
    serve: Serve, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve()

    def refuse() -> None:
        raise optuna.exceptions.StorageInternalError("a secret")

    with monkeypatch.context() as patch:
        patch.setattr(store, "check", refuse)
        answer = client.ask("/readyz")
    assert (answer.status, answer.body) == (503, b"not ready\n")
    assert client.ask("/livez").status == 200
