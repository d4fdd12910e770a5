"""The service as a whole, as its files start it, while what can happen to it does.

A PostgreSQL of its own; `serve` and two workers as systemd starts them, a third one as a job of
SLURM; Prometheus; a webhook. Three studies of two people, one of them paused and resumed; a worker
drained, one killed, the database switched off and on.
"""

import json
import os
import signal
import socket
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest
from chaos.postgres import Server, own_server
from deploy.programs import free_port, wait_for
from deploy.slurm import slurm
from deploy.test_prometheus import http, prometheus, series
from deploy.test_systemd import Service, started, words_of
from optuna.trial import TrialState
from support import TINY, Outcome

from cvfp_opt.notify.webhook import signature
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import open_for_reading
from cvfp_opt.store.record.studies import load_study

pytestmark = [pytest.mark.processes, pytest.mark.slow]

Invoke = Callable[..., Outcome]
SECRET = "thirty-two characters, more or less"
SETTINGS = {key: int(value) for key, value in (one.split("=") for one in TINY)} | {
    "training.num_iterations": 12,
    "data.train_tokens": 256,
    "training.min_converged_ratio": 1.0,
    "search.pruner": "none",
}
# name -> who submits it, its total, its weight
STUDIES = {"a": ("alice", 24, 1), "b": ("bob", 30, 3), "c": ("bob", 16, 1)}


@dataclass(frozen=True)
class Api:
    """The service, as somebody with a token has it."""

    port: int
    token: str

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/v1/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                **{name.replace("_", "-"): value for name, value in headers.items()},
            },
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def counts(self, study: str) -> dict[str, int]:
        found: dict[str, int] = self.ask("GET", f"studies/{study}")["counts"]
        return found


@dataclass(frozen=True)
class Whole:
    """All of it, while it runs."""

    database: Server
    port: int
    tokens: dict[str, str]
    workers: list[Service]
    told: Queue[dict[str, Any]]

    def by(self, who: str) -> Api:
        return Api(self.port, self.tokens[who])


def supervised(stack: ExitStack, words: list[str], folder: Path) -> Service:
    """Start something as systemd does, until it is ready; ended with the stack."""
    place = stack.enter_context(tempfile.TemporaryDirectory())
    bound = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    bound.bind(f"{place}/notify")
    bound.settimeout(120)
    service = started(bound, words, folder)
    stack.callback(service.process.communicate)
    stack.callback(service.process.kill)
    assert service.told_next()[0] == "READY=1"
    bound.close()  # nobody reads it from here on: that is no fault of a supervisor's
    return service


def worker_words() -> list[str]:
    words = words_of("cvfp-opt-worker@.service")
    words[words.index("--threads") + 1] = "1"
    return words


def webhook(told: Queue[dict[str, Any]]) -> Callable[[BaseHTTPRequestHandler], None]:
    """What takes events, and refuses those that are not signed."""

    def take(request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        given = request.headers["X-Cvfp-Signature"]
        moment = int(given.removeprefix("t=").partition(",")[0])
        genuine = given == signature(SECRET, moment, body)
        if genuine:
            told.put(json.loads(body))
        request.send_response(204 if genuine else 403)
        request.end_headers()

    return take


@contextmanager
def whole(folder: Path, monkeypatch: pytest.MonkeyPatch, invoke: Invoke) -> Iterator[Whole]:
    told: Queue[dict[str, Any]] = Queue()
    with ExitStack() as stack:
        database = stack.enter_context(own_server())
        port = stack.enter_context(http(webhook(told)))
        monkeypatch.setenv("CVFP_OPT_STORAGE", database.location.url)
        hooks = folder / "notify.toml"
        hooks.write_text(
            f'[hooks.ops]\nkind = "webhook"\nurl = "http://127.0.0.1:{port}/"\n'
            f'secret = "{SECRET}"\n'
        )
        hooks.chmod(0o600)
        monkeypatch.setenv("CVFP_OPT_NOTIFY", str(hooks))
        tokens = {}
        for who in ("alice", "bob", "operator", "prometheus"):
            scopes = {"operator": ["read", "control"], "prometheus": ["read"]}.get(
                who, ["read", "submit", "control"]
            )
            added = invoke("token", "add", who, *(f"--scope={one}" for one in scopes))
            assert added.code == 0, added.err
            tokens[who] = added.out.strip()
        words = words_of("cvfp-opt-serve.service")
        served = free_port()
        words[words.index("--port") + 1] = str(served)
        supervised(stack, words, folder)
        workers = [supervised(stack, worker_words(), folder) for _ in range(2)]
        yield Whole(database, served, tokens, workers, told)


def submit_all(service: Whole) -> None:
    for name, (who, total, weight) in STUDIES.items():
        wishes = {"n_trials": total, "weight": weight}
        body = {"definition": "quick", "set": SETTINGS} | wishes
        service.by(who).ask("PUT", f"studies/{name}", body)


def pause_and_resume(service: Whole) -> None:
    api = service.by("bob")
    api.ask("POST", "studies/c/pause", {"now": True}, If_Match="*")
    wait_for(lambda: not api.counts("c")["running"], "nothing of c runs", 120)
    before = api.counts("c")["complete"]
    others = service.by("alice").counts("a")["complete"]
    wait_for(lambda: service.by("alice").counts("a")["complete"] > others, "a goes on", 120)
    assert api.counts("c")["complete"] == before
    api.ask("POST", "studies/c/resume", If_Match="*")


def drain(service: Whole, worker: Service) -> None:
    listed = service.by("operator").ask("GET", "workers")
    [found] = [one for one in listed if one["pid"] == worker.process.pid]
    service.by("operator").ask("POST", f"workers/{found['worker']}/drain", {"within": 60})
    out, _ = worker.process.communicate(120)
    assert worker.process.returncode == 0, out


def events(told: Queue[dict[str, Any]]) -> set[tuple[str, str]]:
    found = set()
    while True:
        try:
            event = told.get_nowait()
        except Empty:
            return found
        found.add((event["kind"], event["study"]))


def check_studies(location: Location) -> None:
    """No trial lost, none twice, none running for ever."""
    with open_for_reading(location) as store:
        for name, (_, total, _) in STUDIES.items():
            trials = load_study(store, name).trials
            assert [trial.number for trial in trials] == list(range(total))
            assert {trial.state for trial in trials} == {TrialState.COMPLETE}


def test_the_whole_service_comes_through_a_bad_day(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {name: tmp_path / name for name in ("home", "slurm", "prometheus")}
    for folder in folders.values():
        folder.mkdir()
    with ExitStack() as stack:
        service = stack.enter_context(whole(folders["home"], monkeypatch, invoke))
        cluster = stack.enter_context(slurm(folders["slurm"], monkeypatch))
        address = stack.enter_context(
            prometheus(
                folders["prometheus"], service.port, free_port(), service.tokens["prometheus"]
            )
        )
        submit_all(service)
        script = cluster.script(service.database.location.url)
        job = cluster.sbatch(script, "--array=1", "--time=30", "--cpus-per-task=1", "--mem=0")
        api = service.by("operator")
        for name in STUDIES:
            wait_for(lambda name=name: api.counts(name)["complete"], f"a trial of {name}", 240)
        pause_and_resume(service)
        drained, killed = service.workers
        drain(service, drained)
        os.killpg(killed.process.pid, signal.SIGKILL)
        supervised(stack, worker_words(), folders["home"])  # as systemd starts it again

        def left() -> list[str]:
            return [
                name
                for name, (_, total, _) in STUDIES.items()
                if api.counts(name)["complete"] < total
            ]

        assert left() == list(STUDIES), "there is work for the database to be missed"
        service.database.stop()
        service.database.start()

        def is_done() -> bool:
            try:
                return not left()
            except OSError:  # 503: the database has just come back
                return False

        wait_for(is_done, "all studies", 600)
        cluster.ended([f"{job}_1"], 120)
        assert cluster.state(f"{job}_1") == "COMPLETED", cluster.log(f"{job}_1")
        check_studies(service.database.location)
        seen: set[tuple[str, str]] = set()
        wanted = {("study-done", name) for name in STUDIES}
        wanted |= {("study-paused", "c"), ("study-resumed", "c")}
        wait_for(lambda: seen.update(events(service.told)) or wanted <= seen, "the events", 120)
        for name, (_, total, _) in STUDIES.items():
            figure = f'cvfp_opt_trials{{study="{name}",state="complete"}}'
            latest = lambda figure=figure: series(address, figure)[0]["value"][1]  # noqa: E731
            wait_for(lambda total=total, latest=latest: latest() == str(total), "the figures", 60)
            [curve] = series(address, f"changes({figure}[1h])")
            assert int(curve["value"][1]) >= 3
