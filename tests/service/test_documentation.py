"""docs/service.md: its requests are answered, its tables are whole."""

import os
import re
import subprocess

import pages
import pytest
from serving import Client, Office

from cvfp_opt.service.application import STATUSES
from cvfp_opt.service.routes import ROUTES
from cvfp_opt.store.record.tokens import Scope

PAGE = "docs/service.md"


def rows(heading: str) -> list[list[str]]:
    """The rows of the table that begins so."""
    text = pages.text_of(PAGE)
    lines = text[text.index(f"| {heading} |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_each_request_is_answered_as_it_is_typed(office: Office, guarded: Client) -> None:
    token = office.token("read", "submit", "control")
    typed = [block.text for block in pages.blocks(PAGE) if block.language == "sh"]
    script = "\n".join(typed).replace("http://127.0.0.1:8080", f"http://{guarded.host}")
    script = script.replace("cvfp_...", token).replace("wait=20", "wait=1")
    assert script.count("curl") == script.count("curl ") >= 8
    script = script.replace("curl ", "curl --silent --show-error --fail-with-body ")
    done = subprocess.run(
        ["bash", "-euc", script], capture_output=True, text=True, timeout=60, env=os.environ
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = guarded.ask("/api/v1/studies/mine", authorization=f"Bearer {token}").json
    assert (found["state"], found["total"], found["counts"]["waiting"]) == ("paused", 40, 1)
    assert '"kind": "study-submitted"' in done.stdout


def test_every_route_is_listed_with_its_scope() -> None:
    listed = {tuple(row[:2]) for row in rows("ask | scope | command")}
    ours = {
        (f"`{route.method} {route.path}`", route.scope.value)
        for route in ROUTES
        if route.path.startswith("/api/v1/") and route.scope
    }
    assert listed == ours
    assert [row[0] for row in rows("scope | good for")] == [f"`{scope.value}`" for scope in Scope]


@pytest.mark.parametrize(("kind", "status"), STATUSES[:-1], ids=str)
def test_every_error_has_its_row(kind: type, status: int) -> None:
    [classes] = [row[2] for row in rows("status | when | class") if str(int(status)) in row[0]]
    assert f"`{kind.__name__}`" in classes


def test_every_page_of_its_own_is_named() -> None:
    text = pages.text_of(PAGE)
    own = [route.path for route in ROUTES if "{" not in route.path and "api" not in route.path]
    assert [path for path in own if not re.search(rf"`{path}`", text)] == []
