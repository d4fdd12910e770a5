"""Addresses that the gate, the dashboard and a browser could read in different ways."""

import pytest
from serving import Client

from cvfp_opt.report.dashboard.request_target import BadTarget, settle
from cvfp_opt.report.dashboard.security_headers import is_page, secured


@pytest.mark.parametrize(
    "target",
    [
        "/%FFartifacts/1/ID",
        "/artifacts%FF/1/ID",
        "/%C3artifacts/1/ID",
        "/%C0%AFartifacts/1/ID",
        "//artifacts/1/ID",
        "/.//artifacts/1/ID",
        "/./artifacts/1/ID",
        "/dashboard/../artifacts/1/ID",
        "/dashboard/%2e%2e/artifacts/1/ID",
        "/dashboard/%2E./artifacts/1/ID",
        "/dashboard%2f..%2fartifacts/1/ID",
        "/artifacts%2F1/ID",
        "/artifacts%5C1/ID",
        "/artifacts\\1\\ID",
        "\\artifacts/1/ID",
        "/artifacts/1/ID%00",
        "/%00artifacts/1/ID",
        "/artifacts/1/ID%0a",
        "/artifacts/1/ID%0d%0aX-Evil:%201",
        "/artifacts/1/ID%7f",
        "/artifacts/1/ID%E2%80%AE",
        "/artifacts/1/%2549D",
        "/%61rtifacts/1/ID%",
        "/artifacts/1/ID//",
        "/artifacts/1/ID#/dashboard",
        "/artifacts/1/ID?a=%FF",
        "/artifacts/1/ID?a=%00",
        "artifacts/1/ID",
        "*",
        "http://evil.example/artifacts/1/ID",
        "http://evil@HOST/artifacts/1/ID",
        "ftp://HOST/artifacts/1/ID",
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(reader: Client, target: str) -> None:
    sent = target.replace("ID", "dead-beef").replace("HOST", reader.host)
    for method in ("GET", "HEAD"):
        answer = reader.ask(sent, method)
        assert answer.status == 400
        assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")


@pytest.mark.parametrize(
    "name", ["a.html", "a.svg", "a.xml", "a.js", "a.css", "a.xhtml", "a.mht", "a.txt", "a"]
)
def test_an_artifact_runs_nothing_and_is_saved(reader: Client, name: str) -> None:
    sent = {"file": "data:;base64,PHNjcmlwdD4=", "filename": name}
    artifact_id = reader.change("/api/artifacts/1", "POST", sent).json["artifact_id"]
    path = f"/artifacts/1/{artifact_id}"
    written = (path, path.replace("/a", "/%61", 1), f"{path}/", f"{path}?x=/dashboard")
    for target in (*written, f"http://{reader.host}{path}"):
        for method in ("GET", "HEAD"):
            answer = reader.ask(target, method, range="bytes=0-9", accept="text/html")
            assert answer.status == 200
            headers = answer.headers
            assert headers["content-security-policy"].startswith("sandbox; default-src 'none'")
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["content-disposition"].startswith("attachment")
            kept = {"a.svg": "image/svg+xml", "a.txt": "text/plain; charset=utf-8"}
            assert headers["content-type"] == kept.get(name, "application/octet-stream")


@pytest.mark.parametrize(
    "target", ["/api/meta", "/api/studies", "/api/studies/1", "/csv/1", "/nothing", "/static/x"]
)
def test_only_pages_may_run_scripts(reader: Client, target: str) -> None:
    for accept in ("", "text/html"):
        headers = reader.ask(target, accept=accept).headers
        assert "sandbox" in headers["content-security-policy"]
        assert "html" not in headers["content-type"]


def test_a_page_has_no_frames_and_no_forms(reader: Client) -> None:
    for target in ("/dashboard", "/dashboard/", "/dashboard/studies/1", "/dashboard/%C3%A9"):
        policy = reader.ask(target).headers["content-security-policy"].split("; ")
        assert {"frame-src 'none'", "form-action 'none'", "object-src 'none'"} <= set(policy)


def test_pages_are_the_exception() -> None:
    for path in ("/dashboard", "/dashboard/studies/1"):
        assert is_page(path)
    for path in (
        "/",
        "/dashboards",
        "/dashboard.",
        "/x/dashboard",
        "/artifacts/1/a",
        "/Dashboard",
    ):
        assert not is_page(path)
        sent = dict(secured(path, "200 OK", [("Content-Type", "Text/HTML; charset=utf-8")]))
        assert sent["Content-Type"] == "application/octet-stream"
        assert sent["Content-Disposition"] == "attachment"
        assert sent["Content-Security-Policy"].startswith("sandbox;")


def test_all_read_the_path_that_the_gate_read() -> None:
    environ = {"REQUEST_URI": "/dashboard/%C3%A9/?a=%C3%A9", "PATH_INFO": "/elsewhere"}
    assert settle(environ) == "/dashboard/é"
    assert environ["PATH_INFO"] == "/dashboard/é".encode().decode("latin-1")
    with pytest.raises(BadTarget):
        settle({"REQUEST_URI": "/a/%2E%2e/b", "PATH_INFO": "/b"})
