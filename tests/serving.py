"""A dashboard for a study with hostile names and texts, and requests to it."""

import http.client
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import known_studies
import optuna
from known_studies import EVIL, complete, ended
from optuna.trial import TrialState

from cvfp_opt.report.dashboard.app import Opening, make_app, make_rules
from cvfp_opt.report.dashboard.server import Address, Server
from cvfp_opt.service.desk import Desk
from cvfp_opt.service.serving import make_rules as make_office_rules
from cvfp_opt.service.serving import make_service
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.files.artifact_stores import ArtifactStore, open_artifacts
from cvfp_opt.store.files.dashboard_token import Token
from cvfp_opt.store.files.folder import FolderStore
from cvfp_opt.store.record.mirrors import sync_mirrors
from cvfp_opt.store.record.records import StudyRecord
from cvfp_opt.store.record.tokens import add_token, read_tokens

NAME = f"known {EVIL}"


@dataclass(frozen=True)
class Answer:
    """What a server said."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """Sends to a server what it is told to, and nothing else but a ``Host``."""

    port: int
    server: Server
    thread: threading.Thread
    said: list[str] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def end(self) -> None:
        """Stop the server; nothing of it may stay."""
        self.server.stop()
        self.thread.join(20)
        assert not self.thread.is_alive()

    def ask(self, target: str, method: str = "GET", body: bytes = b"", **headers: str) -> Answer:
        """Headers are named as ``content_type``; ``host=""`` sends none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            sent = {"host": self.host} | headers
            if body:
                sent.setdefault("content_length", str(len(body)))
            for name, value in sent.items():
                if value:
                    connection.putheader(name.replace("_", "-"), value)
            connection.endheaders(body or None)
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, named, response.read())
        finally:
            connection.close()

    def change(self, target: str, method: str, value: Any, **headers: str) -> Answer:
        """A request with JSON."""
        body = json.dumps(value).encode()
        return self.ask(target, method, body, content_type="application/json", **headers)


def fill(store: Store, name: str = NAME) -> optuna.Study:
    """Six trials, three of them complete, with mirrors."""
    study = optuna.create_study(study_name=name, storage=store.storage, direction="maximize")
    record = StudyRecord.of(known_studies.study())
    assert record is not None
    StudyRecord(**asdict(record) | {"code": {EVIL: "f" * 64}}).write(study)
    study.add_trials(
        [
            complete(0.2, 0.2, 0.95),
            complete(0.4, 0.98, 0.9),
            ended(TrialState.PRUNED, 0.5, status="pruned", reason="pruned after iteration 0"),
            complete(0.6, 0.9, 0.6),
            ended(TrialState.FAIL, 0.8, status="error", reason=f"OSError: {EVIL}"),
        ]
    )
    sync_mirrors(store, study)
    return study


@dataclass(frozen=True)
class Site:
    """An open database with a study, and its artifacts."""

    location: Location
    store: Store
    study: optuna.Study
    stored: ArtifactStore | None = None  # where artifacts are, if not beside the file

    @classmethod
    def filled(cls, location: Location, store: Store) -> "Site":
        """With a study and its mirrors."""
        return cls(location, store, fill(store))

    @property
    def artifacts(self) -> FolderStore:
        return FolderStore(self.location.file.parent / "artifacts")

    def serve(
        self,
        *,
        read_only: bool = False,
        token: Token | None = None,
        host: str = "127.0.0.1",
        other_names: Sequence[str] = (),
    ) -> Client:
        """A server in a thread; ``client.server.stop()`` ends it."""
        said: list[str] = []
        address = Address(host=host, port=0)
        opening = Opening.of(self.store, None)
        rules = make_rules(address, token, other_names=other_names)
        stored = self.stored or self.artifacts
        app = make_app(
            self.store, stored, rules, said.append, home=opening.path, read_only=read_only
        )
        server = Server(app, address)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        return Client(server.port, server, thread, said)


@dataclass(frozen=True)
class Office:
    """An open database with a study, and what `serve` makes of it."""

    location: Location
    store: Store

    @classmethod
    def filled(cls, location: Location, store: Store) -> "Office":
        """With the study "known" and its mirrors."""
        fill(store, "known")
        return cls(location, store)

    def token(self, *scopes: str, studies: str = "", days: float | None = None) -> str:
        """The text of a new token."""
        name = f"{' and '.join(scopes)} {studies}{len(read_tokens(self.store))}"
        return add_token(self.store, name, scopes, studies=studies, days=days)

    def serve(self, *, allowed_hosts: Sequence[str] = (), base: str = "") -> Client:
        """A server in a thread; a token is required if it may be asked from elsewhere."""
        said: list[str] = []
        address = Address(host="127.0.0.1", port=0)
        rules = make_office_rules(self.store, address, allowed_hosts, base)
        files = open_artifacts(self.location, None)
        app = make_service(Desk(store=self.store, files=files, base=base), rules, said.append)
        server = Server(app, address)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        return Client(server.port, server, thread, said)


Serve = Callable[..., Client]


def storage_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "storage"
    folder.mkdir()
    return folder
