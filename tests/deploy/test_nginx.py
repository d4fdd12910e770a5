"""nginx in front of `serve`: a site of its own, and below a path of another one, over TLS."""

import http.client
import json
import os
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from deploy.programs import FILES, call, free_port, program, running
from processes import fork_python
from support import Outcome

pytestmark = pytest.mark.processes

NAMES = ("cvfp.example", "tools.example")
Invoke = Callable[..., Outcome]


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Site:
    """One of nginx's names, as a client on the other side of it sees it."""

    name: str
    port: int
    certificate: Path
    token: str

    def ask(
        self, target: str, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> Reply:
        context = ssl.create_default_context(cafile=str(self.certificate))
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        connection = http.client.HTTPSConnection(self.name, self.port)
        connection.sock = context.wrap_socket(plain, server_hostname=self.name)
        given = {"Authorization": f"Bearer {self.token}"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        try:
            connection.request(method, target, body=body, headers=given)
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, named, response.read())
        finally:
            connection.close()

    def change(self, target: str, method: str, value: Any, **headers: str) -> Reply:
        body = json.dumps(value).encode()
        return self.ask(target, method, body, Content_Type="application/json", **headers)


@contextmanager
def nginx(folder: Path, backend: int, port: int) -> Iterator[None]:
    """An nginx with our file, on other ports, with certificates of its own making."""
    text = (FILES / "nginx.conf").read_text()
    text = text.replace("127.0.0.1:8080", f"127.0.0.1:{backend}")
    text = text.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
    (folder / "site.conf").write_text(text.replace("/etc/nginx/tls", str(folder)))
    for name in NAMES:
        made = call(
            *(program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt"),
            *("ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}"),
            *("-addext", f"subjectAltName=DNS:{name}"),
            *("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"),
        )
        assert made.returncode == 0, made.stderr
    places = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{one}_temp_path {folder}/{one};" for one in places)
    (folder / "nginx.conf").write_text(
        f"{'user root;' if os.geteuid() == 0 else ''}\ndaemon off; pid {folder}/nginx.pid;\n"
        f"error_log stderr; events {{}}\n"
        f"http {{ {temporary} access_log off; include {folder}/site.conf; }}\n"
    )
    words = (program("nginx"), "-p", folder, "-c", folder / "nginx.conf")
    checked = call(*words, "-t")
    assert checked.returncode == 0, checked.stderr

    def listens() -> bool:
        with socket.socket() as other:
            return other.connect_ex(("127.0.0.1", port)) == 0

    with running(*words, cwd=folder, ready=listens):
        yield


@pytest.fixture(params=NAMES)
def site(request: pytest.FixtureRequest, invoke: Invoke, tmp_path: Path) -> Iterator[Site]:
    """`serve` behind nginx, with a token for all, as the file says."""
    name = request.param
    base = ["--base-path", "/cvfp"] if name == "tools.example" else []
    folder = tmp_path / "nginx"
    folder.mkdir()
    submitted = invoke("submit", "quick", "--n-trials", "3", "--study-name", "first")
    assert submitted.code == 0, submitted.err
    token = invoke("token", "add", "me", "--scope", "admin").out.strip()
    backend, port = free_port(), free_port()
    words = ["serve", "--port", str(backend), "--allow-host", name, *base]
    process = fork_python("-m", "cvfp_opt", *words, cwd=tmp_path)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("stop with"):
                break
        with nginx(folder, backend, port):
            yield Site(name, port, folder / f"{name}.pem", token)
    finally:
        process.terminate()
        process.communicate(30)


def base_of(site: Site) -> str:
    return "/cvfp" if site.name == "tools.example" else ""


def test_the_api_is_served_through_it(site: Site) -> None:
    api = f"{base_of(site)}/api/v1"
    listed = site.ask(f"{api}/studies")
    assert listed.status == 200, listed.body
    assert site.ask(f"{api}/studies", Authorization="").status == 401
    # a name with a slash comes through as it was sent
    submitted = site.change(
        f"{api}/studies/team%2Fa%20b", "PUT", {"definition": "quick", "n_trials": 2}
    )
    assert submitted.status == 201, submitted.body
    seen = site.ask(f"{api}/studies/team%2Fa%20b")
    assert seen.status == 200
    assert seen.json["study_name"] == "team/a b"
    paused = site.change(f"{api}/studies/first/pause", "POST", {}, If_Match="*")
    assert paused.status == 200, paused.body
    more = site.ask(f"{api}/studies/first/trials?limit=1")
    assert more.status == 200, more.body


def test_a_page_of_this_site_may_change_something_and_one_of_another_may_not(site: Site) -> None:
    target = f"{base_of(site)}/api/v1/studies/first/pause"
    own = f"https://{site.name}:{site.port}"
    words = {"If_Match": "*"}
    assert site.change(target, "POST", {}, Origin="https://evil.example", **words).status == 403
    assert site.change(target, "POST", {}, Origin=own, **words).status == 200


def test_the_page_of_the_queue_finds_its_own_parts(site: Site) -> None:
    page = site.ask(f"{base_of(site)}/")
    assert page.status == 200, page.headers
    assert b"first" in page.body
    asked = re.findall(rb'(?:href|src|action)="(/[^"]*)"', page.body)
    assert asked
    assert [one for one in asked if not one.startswith(f"{base_of(site)}/".encode())] == []
    parts = [one.decode() for one in asked if one.endswith((b".css", b".js"))]
    assert {one: site.ask(one).status for one in parts} == dict.fromkeys(parts, 200)


def test_figures_and_large_bodies_are_kept_back(site: Site) -> None:
    assert site.ask(f"{base_of(site)}/metrics").status == 403
    large = site.ask(f"{base_of(site)}/api/v1/studies/x", "PUT", b" " * (17 << 20))
    assert large.status == 413


def test_the_dashboard_needs_a_site_of_its_own(site: Site) -> None:
    """optuna-dashboard's page asks for /static and /api wherever it is."""
    page = site.ask(f"{base_of(site)}/dashboard")
    if base_of(site):
        assert page.status == 404
        assert b"the dashboard cannot be shown below a path" in page.body
        return
    assert page.status == 200
    [script] = re.findall(rb'src="(/static/[^"]*)"', page.body)
    assert site.ask(script.decode()).status == 200
