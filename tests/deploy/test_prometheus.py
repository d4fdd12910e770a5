"""Prometheus reads the figures, its rules see what they are for, Alertmanager tells a webhook."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from deploy.exposition import TEXT
from deploy.programs import FILES, answers, call, free_port, get_json, program, running, wait_for
from running import read_until
from support import TINY_ARGUMENTS, Outcome, Start

from cvfp_opt.service.metrics import Metrics
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import open_for_search

RULES = yaml.safe_load((FILES / "rules.yml").read_text())
BOARD = json.loads((FILES / "grafana.json").read_text())
Invoke = Callable[..., Outcome]
TOKEN = "cvfp_for-prometheus"
_NAME = re.compile(r"\bcvfp_opt[a-z_:]*")


def rules() -> list[dict[str, Any]]:
    return [rule for group in RULES["groups"] for rule in group["rules"]]


def board_queries() -> list[str]:
    """The board's queries as it asks them, with all studies chosen."""
    targets = [target for panel in BOARD["panels"] for target in panel["targets"]]
    return [target["expr"].replace("$study", ".*") for target in targets]


def given() -> set[str]:
    """The names of all figures that are given, or made of them by a rule."""
    names = set(re.findall(r"^(\w+)[{ ]", TEXT, flags=re.MULTILINE))
    return names | {rule["record"] for rule in rules() if "record" in rule}


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        ("promtool", ["check", "config", "--syntax-only", "prometheus.yml"]),
        ("promtool", ["check", "rules", "rules.yml"]),
        ("promtool", ["test", "rules", "rules.test.yml"]),
        ("amtool", ["check-config", "alertmanager.yml"]),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else value,
)
def test_the_tools_that_come_with_it_find_nothing(tool: str, words: list[str]) -> None:
    outcome = call(program(tool), *words, cwd=FILES)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "SUCCESS" in outcome.stdout
    assert "warning" not in (outcome.stdout + outcome.stderr).lower()


def test_each_rule_is_tested_by_figures_that_set_it_off_and_such_that_do_not() -> None:
    tests = yaml.safe_load((FILES / "rules.test.yml").read_text())["tests"]
    tried = [one for test in tests for one in test.get("alert_rule_test", ())]
    fired = {one["alertname"] for one in tried if one["exp_alerts"]}
    quiet = {one["alertname"] for one in tried if not one["exp_alerts"]}
    alerts = {rule["alert"] for rule in rules() if "alert" in rule}
    assert fired == alerts
    # these two stay quiet for another study of the same figures
    assert alerts - quiet == {"CvfpOptTrialsFail", "CvfpOptBestIsUntrained"}
    assert all({"summary", "what_to_do"} <= set(rule.get("annotations", ())) for rule in rules()
               if "alert" in rule)  # fmt: skip


def test_rules_and_board_ask_for_figures_that_there_are() -> None:
    asked = {name for rule in rules() for name in _NAME.findall(rule["expr"])}
    asked |= {name for query in board_queries() for name in _NAME.findall(query)}
    assert asked - given() == set()
    assert len(asked) > 15


def test_the_figures_of_these_tests_are_those_of_the_service(location: Location) -> None:
    with open_for_search(location) as store:
        text = Metrics(store).text().decode()
    kinds = re.compile(r"^# TYPE (\w+) (\w+)$", re.MULTILINE)
    assert set(kinds.findall(TEXT)) - set(kinds.findall(text)) == set()


@contextmanager
def http(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[int]:
    """A server that answers each request so; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        do_POST = do_GET

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(20)


def give_figures(request: BaseHTTPRequestHandler) -> None:
    """Answer as `serve` does: /metrics, for whoever shows the token."""
    known = request.headers["Authorization"] == f"Bearer {TOKEN}"
    found = request.path == "/metrics"
    request.send_response((200 if known else 401) if found else 404)
    request.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
    request.end_headers()
    if known and found:
        request.wfile.write(TEXT.encode())


def impatient(path: Path) -> None:
    """Write the rules so that they fire at once: they are tested above with their times."""
    groups = json.loads(json.dumps(RULES))
    for group in groups["groups"]:
        for rule in group["rules"]:
            rule.pop("for", None)
    path.write_text(yaml.safe_dump(groups))


@contextmanager
def alertmanager(folder: Path, receiver: int) -> Iterator[int]:
    """An Alertmanager with our file, which posts to another port."""
    given = yaml.safe_load((FILES / "alertmanager.yml").read_text())
    given["route"] |= {"group_wait": "0s", "group_interval": "1s"}
    [webhook] = given["receivers"][0]["webhook_configs"]
    webhook["url"] = webhook["url"].replace("9099", str(receiver))
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(given))
    port = free_port()
    words = [
        program("prometheus-alertmanager"),
        "--config.file=alertmanager.yml",
        "--storage.path=alerts",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with running(*words, cwd=folder, ready=answers(f"http://127.0.0.1:{port}/-/ready")):
        yield port


@contextmanager
def prometheus(folder: Path, served: int, alerts: int, token: str = TOKEN) -> Iterator[str]:
    """A Prometheus with our file, which reads one port and tells another; its address."""
    given = yaml.safe_load((FILES / "prometheus.yml").read_text())
    given["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
    [job] = given["scrape_configs"]
    (folder / "token").write_text(token)
    job["authorization"]["credentials_file"] = "token"
    job["static_configs"][0]["targets"] = [f"127.0.0.1:{served}"]
    [manager] = given["alerting"]["alertmanagers"]
    manager["static_configs"][0]["targets"] = [f"127.0.0.1:{alerts}"]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(given))
    impatient(folder / "rules.yml")
    port = free_port()
    words = [
        program("prometheus"),
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with running(*words, cwd=folder, ready=answers(f"http://127.0.0.1:{port}/-/ready")):
        yield f"http://127.0.0.1:{port}"


def series(address: str, query: str) -> list[dict[str, Any]]:
    answer = get_json(f"{address}/api/v1/query?query={quote(query)}")
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


@pytest.mark.processes
def test_figures_are_read_rules_fire_and_a_webhook_is_told(tmp_path: Path) -> None:
    told: Queue[dict[str, Any]] = Queue()

    def take(request: BaseHTTPRequestHandler) -> None:
        assert request.path == "/alerts"
        told.put(json.loads(request.rfile.read(int(request.headers["Content-Length"]))))
        request.send_response(204)
        request.end_headers()

    with (
        http(give_figures) as served,
        http(take) as receiver,
        alertmanager(tmp_path, receiver) as alerts,
        prometheus(tmp_path, served, alerts) as address,
    ):
        wait_for(lambda: len(series(address, "cvfp_opt_scrape_seconds")), "a scrape")
        empty = lambda: [one for one in board_queries() if not series(address, one)]  # noqa: E731
        wait_for(lambda: not empty(), "an answer to each query of the board", 30)
        [up] = series(address, 'up{job="cvfp-opt"}')
        assert up["value"][1] == "1"
        message = told.get(timeout=60)
        while message["groupLabels"]["alertname"] != "CvfpOptUnsentResults":
            message = told.get(timeout=60)
    [alert] = message["alerts"]
    assert message["status"] == alert["status"] == "firing"
    assert alert["labels"]["severity"] == "ticket"
    assert alert["annotations"]["summary"].startswith("2 results of trials lie in storage/unsent")


@pytest.mark.processes
def test_the_figures_of_serve_are_read(invoke: Invoke, start: Start, tmp_path: Path) -> None:
    submitted = invoke("submit", "quick", *TINY_ARGUMENTS, "--n-trials", "3")
    assert submitted.code == 0, submitted.err
    token = invoke("token", "add", "prometheus", "--scope", "read").out
    assert invoke("worker", "--until-idle", "--n-jobs", "1", "--threads", "1").code == 0
    port = free_port()
    server = start("serve", "--port", str(port), "--allow-host", "serve", cwd=tmp_path)
    read_until(server, "stop with")
    folder = tmp_path / "prometheus"
    folder.mkdir()
    with prometheus(folder, port, free_port(), token) as address:
        query = 'cvfp_opt_trials{study="quick", state="complete"}'
        [trials] = wait_for(lambda: series(address, query), "a scrape")
        assert trials["value"][1] == "3"
        [done] = wait_for(lambda: series(address, "cvfp_opt:study_done:ratio"), "a rule")
        assert done["value"][1] == "1"
        assert {one["metric"]["stage"] for one in series(address, "cvfp_opt_studies > 0")} == {
            "done"
        }


def test_a_service_that_is_down_says_so_alone(tmp_path: Path) -> None:
    """The other alerts rest on figures that are old: amtool knows the route, not inhibitions."""
    given = yaml.safe_load((FILES / "alertmanager.yml").read_text())
    [rule] = given["inhibit_rules"]
    assert rule["source_matchers"] == ['alertname="CvfpOptDown"']
    routes = [FILES / "alertmanager.yml", "severity=page", "alertname=CvfpOptDown"]
    outcome = call(
        program("amtool"), "config", "routes", "test", f"--config.file={routes[0]}", *routes[1:]
    )
    assert outcome.stdout.split() == ["people"]
