"""docs/agents.md asks a server: its requests are answered, by curl and from Python."""

import contextlib
import io
import json
import os
import subprocess

import pages
import pytest
import schemas
from serving import Office

BLOCKS = [
    block
    for block in pages.blocks("docs/agents.md")
    if "a server is asked" in block.marks.get("not run", "")
]
# what each request of the page answers, by the schemas' names
ANSWERS = ("submit", "status", "trial enqueue", "study cancel", "queue")


@pytest.fixture
def asked(guarded: str, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVER", guarded)
    monkeypatch.setenv("TOKEN", office.token("read", "submit", "control"))
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("asked")
def test_the_requests_of_the_page_are_answered() -> None:
    [block] = [one for one in BLOCKS if one.language == "console"]
    lines = block.text.strip().splitlines()
    for line, name in zip(lines, ANSWERS, strict=True):
        command = ["bash", "-c", f"{line} --fail-with-body --max-time 60"]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ, timeout=90)
        assert done.returncode == 0, done.stdout + done.stderr
        head, _, body = done.stdout.replace("\r", "").rpartition("\n\n")
        schemas.check_value(name, json.loads(body))
        assert ('etag: "0-' in head.lower()) is (" -i " in line)


@pytest.mark.usefixtures("asked")
def test_the_lines_of_python_run(monkeypatch: pytest.MonkeyPatch) -> None:
    [block] = [one for one in BLOCKS if one.language == "python"]
    monkeypatch.setattr("cvfp_opt.api.looking._LOOK_SECONDS", 5.0)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(block.text, "docs/agents.md", "exec"), {})
    first, *_, last = out.getvalue().splitlines()
    assert first.endswith("6 open")
    assert last == "[]"
