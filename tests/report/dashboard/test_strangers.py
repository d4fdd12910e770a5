"""A study of a stranger in a real browser: its note and its artifacts are a page of theirs."""

import base64

import pytest
from browsing import needs_chromium, visits
from serving import Client, Serve

pytestmark = [needs_chromium, pytest.mark.processes]

SCRIPT = b"""window.ran = 1; document.title = "ran";
fetch("/api/studies/1", {method: "DELETE"}).then(() => { document.title = "deleted" })"""


NOTE = """words <script src="/artifacts/1/JS"></script>
<script async src="/artifacts/1/JS"></script> <link rel="stylesheet" href="/artifacts/1/CSS">
<iframe src="/artifacts/1/HTML"></iframe> <object data="/artifacts/1/HTML"></object>
<embed src="/artifacts/1/HTML"> <a href="javascript:window.ran=1">click</a>
<form action="/api/studies/1/rename" method="post"><button>go on</button></form>

[save](/artifacts/1/HTML) [open](/%FFartifacts/1/HTML)
"""


def put(client: Client, name: str, content: bytes) -> str:
    """The id of a new artifact of the study."""
    data = "data:;base64," + base64.b64encode(content).decode()
    answer = client.change("/api/artifacts/1", "POST", {"file": data, "filename": name})
    return str(answer.json["artifact_id"])


def test_neither_a_look_nor_a_click_runs_anything(serve: Serve) -> None:
    client = serve()
    note = (
        NOTE.replace("JS", put(client, "a.js", SCRIPT))
        .replace("CSS", put(client, "a.css", b"body { display: none }"))
        .replace("HTML", put(client, "a.html", b"<!doctype html><script>%b</script>" % SCRIPT))
    )
    assert client.change("/api/studies/1/note", "PUT", {"version": 1, "body": note}).status == 204
    with visits() as window:
        visit = window()
        page = visit.page
        page.goto(f"http://{client.host}/dashboard/studies/1/note")
        page.get_by_text("words").wait_for()
        for name in ("click", "go on"):
            if (found := page.get_by_text(name, exact=True)).count():
                found.click()
        with page.expect_download():
            page.get_by_role("link", name="save").click()
        assert page.evaluate("window.ran") is None
        assert page.get_by_text("words").is_visible()
        page.get_by_role("link", name="open").click()
        page.wait_for_url("**/%FFartifacts/**")
        assert page.locator("body").inner_text().strip() == "the path is not UTF-8"
        assert not [fault for fault in visit.faults if "/rename" in fault]
    assert client.ask("/api/studies/1").json["name"]
