"""Malformed requests to a real server."""

import http.client
import re
import socket
from pathlib import Path

import pytest
from serving import Client, Serve, Site

from cvfp_opt.errors import ServerError, StudyError
from cvfp_opt.report.dashboard.gate import host_name
from cvfp_opt.report.dashboard.server import MAX_BODY
from cvfp_opt.report.dashboard.sessions import MAX_SESSIONS, Sessions
from cvfp_opt.report.dashboard.style import RULES
from cvfp_opt.store.files.dashboard_token import Token, make_token

DELETE = {"remove_associated_artifacts": False}


@pytest.fixture
def token(tmp_path: Path) -> tuple[str, Token]:
    return make_token(tmp_path / "token.json")


def still_there(client: Client) -> bool:
    return client.ask("/api/studies/1").status == 200


def test_it_opens_on_the_study(reader: Client) -> None:
    answer = reader.ask("/")
    assert (answer.status, answer.headers["location"]) == (302, "/dashboard/studies/1")
    assert b"Optuna Dashboard" in reader.ask("/dashboard/studies/1").body
    assert len(reader.ask("/api/studies/1").json["trials"]) == 5


@pytest.mark.parametrize(
    "target",
    ["/", "/dashboard", "/api/studies", "/static/bundle.js", "/nothing", "/artifacts/1/a"],
)
def test_every_answer_has_the_headers(reader: Client, target: str) -> None:
    headers = reader.ask(target).headers
    policy = headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-inline'" not in policy.replace("style-src 'self' data: 'unsafe-inline'", "")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers
    assert "server" not in headers


def test_its_page_is_whole_and_has_our_rules_of_style(reader: Client) -> None:
    answer = reader.ask("/dashboard/studies/1", range="bytes=0-9")
    assert answer.status == 200
    assert answer.body.count(RULES) == 1
    assert answer.body.rstrip().endswith(b"</html>")
    assert RULES not in reader.ask("/api/studies/1").body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "MOVE"])
def test_nothing_is_changed_where_it_is_only_read(serve: Serve, method: str) -> None:
    client = serve(read_only=True)
    answer = client.change("/api/studies/1", method, DELETE)
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
    assert "reason" in answer.json
    assert still_there(client)


def test_a_study_can_be_changed_otherwise(serve: Serve, site: Site) -> None:
    client = serve()
    assert client.change("/api/studies/1/note", "PUT", {"version": 1, "body": "x"}).status == 204
    assert client.ask("/api/studies/1").json["note"]["body"] == "x"
    assert client.change("/api/studies/1", "DELETE", {}).status == 204
    assert not still_there(client)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "127.0.0.1/@evil.example",
        "[::1",
        "a, 127.0.0.1",
    ],
)
def test_another_host_is_refused(reader: Client, host: str) -> None:
    answer = reader.ask("/api/studies", host=host)
    assert answer.status == 421
    assert b"known" not in answer.body


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1234", "127.0.0.1:9", "[::1]:8080"])
def test_its_own_names_and_addresses_are_answered(reader: Client, host: str) -> None:
    assert reader.ask("/api/studies", host=host).status == 200


def test_other_names_may_be_allowed(serve: Serve) -> None:
    client = serve(other_names=["Lab.example", "[fe80::1]"])
    for host in ("lab.example", "LAB.example:443", "127.0.0.1"):
        assert client.ask("/api/studies", host=host).status == 200
    note = {"version": 1, "body": "x"}
    own = {"host": "lab.example", "origin": "https://lab.example"}
    assert client.change("/api/studies/1/note", "PUT", note, **own).status == 204
    for host in ("example", "x.lab.example", "lab.example.evil.example"):
        answer = client.ask("/api/studies", host=host)
        assert answer.status == 421
        assert b"--allow-host" in answer.body


@pytest.mark.parametrize("name", ["", "http://lab.example", "lab.example:80", "*", "a b", "lab/x"])
def test_what_is_no_name_of_a_host_is_refused(serve: Serve, name: str) -> None:
    with pytest.raises(ServerError, match=f"^--allow-host {re.escape(name)}: "):
        serve(other_names=[name])


def test_nonsense_is_no_host() -> None:
    for host in ("", "[", "[::1", "é", "//", "?"):
        assert host_name(host) == ""


def test_other_sites_change_nothing(serve: Serve) -> None:
    client = serve()
    for headers in (
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://["},
        {"origin": "://"},
        {"origin": f"{client.host}"},
        {"origin": f"http://evil@{client.host}"},
        {"origin": f"http://127.0.0.1:{client.port + 1}"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ):
        assert client.change("/api/studies/1", "DELETE", DELETE, **headers).status == 403
    assert still_there(client)
    own = {"origin": f"http://{client.host}", "sec_fetch_site": "same-origin"}
    assert client.change("/api/studies/1", "DELETE", DELETE, **own).status == 204


def test_the_token_is_asked_for(serve: Serve, token: tuple[str, Token]) -> None:
    text, made = token
    client = serve(token=made, host="0.0.0.0")
    wrong = [
        {},
        {"authorization": f"Bearer {text[:-1]}"},
        {"authorization": f"Bearer {made.digest.hex()}"},
        {"authorization": f"Basic {text}"},
        {"authorization": "Bearer \xe9"},
        {"cookie": f"cvfp_opt_dashboard={text}"},
        {"cookie": "cvfp_opt_dashboard=; ;=;"},
        {"cookie": "cvfp_opt_dashboard"},
    ]
    targets = ("/", "/dashboard", "/api/studies", "/static/bundle.js", "/api/studies?token=x")
    for target in (*targets, f"/api/studies?token={text}&token=x"):
        for headers in wrong:
            answer = client.ask(target, **headers)
            assert answer.status == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")
    assert client.ask("/api/studies", authorization=f"Bearer {text}").status == 200
    assert client.change(f"/api/studies/1?token={text}", "DELETE", DELETE).status == 401
    asking = client.ask("/dashboard", accept="text/html")
    assert b'name="token" type="password"' in asking.body


def test_a_browser_gets_a_cookie_for_the_token(serve: Serve, token: tuple[str, Token]) -> None:
    text, made = token
    client = serve(token=made, host="0.0.0.0")
    answer = client.ask(f'/dashboard/a"<b>?token={text}&x=%22%3C', accept="text/html")
    assert answer.status == 200
    assert text.encode() not in answer.body
    [target] = re.findall(rb'content="0; url=([^"]*)"', answer.body)
    assert target == b"/dashboard/a%22%3Cb%3E?x=%22%3C"
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert text not in cookie
    pair = cookie.partition(";")[0]
    assert client.ask("/api/studies", cookie=f"a=b; {pair}").status == 200
    assert client.ask("/api/studies", cookie=f"{pair}x").status == 401
    other = client.ask(f"//evil.example/\\?token={text}", accept="text/html")
    assert other.status == 400
    assert b"evil" not in other.body


def test_sessions_end_by_and_by(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = Sessions()
    opened = [sessions.open(b"key").partition(";")[0] for _ in range(MAX_SESSIONS + 1)]
    first, *others = opened
    assert sessions.key(first) is None
    assert all(sessions.key(one) == b"key" for one in others)
    monkeypatch.setattr("cvfp_opt.report.dashboard.sessions.time.monotonic", lambda: 1e12)
    assert sessions.key(others[-1]) is None


def test_large_cookies_of_others_are_no_work() -> None:
    # an hour where http.cookies parses it, on Python before 3.11.10
    sessions = Sessions()
    own = sessions.open(b"key").partition(";")[0]
    other = 'other="' + '\\"' * 300_000 + '"'
    assert sessions.key(f"{other}; {own}") == b"key"
    assert sessions.key(f"{other}; {own}x") is None
    assert sessions.key(f'{own.partition("=")[0]}="' + '\\"' * 300_000) is None


def test_a_body_over_the_limit_is_refused_unread(serve: Serve) -> None:
    client = serve()
    target = "/api/studies/1/note"
    # only said to be large, so refused before it is sent
    answer = client.ask(target, "PUT", content_length=str(MAX_BODY + 1))
    assert answer.status == 413
    chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
        head = (
            f"PUT {target} HTTP/1.1\r\nHost: {client.host}\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        connection.sendall(head.encode())
        response = http.client.HTTPResponse(connection)
        for _ in range(MAX_BODY // 0x100000 + 1):
            connection.sendall(chunk)
        response.begin()
        assert response.status == 413
    assert still_there(client)


@pytest.mark.parametrize(
    "target",
    [
        "/static/../../../../../../etc/passwd",
        "/static/%2e%2e/%2e%2e/_app.py",
        "/static/..%2f..%2f_app.py",
        "/static//etc/passwd",
        "/static/..\\..\\_app.py",
        "/static/bundle.js%00.gz",
        "/artifacts/1/../../cvfp.db",
        "/artifacts/1/..%2fcvfp.db",
        "/artifacts/1/1/%2e%2e%2fcvfp.db",
        "/artifacts/1/cvfp.db",
        "/artifacts/1/dead-beef",
        "/artifacts/1/1/dead-beef",
        "/artifacts/999/999/dead-beef",
        "/storage/cvfp.db",
        "http://evil.example/api/studies",
        "//etc/passwd",
    ],
)
def test_no_file_is_served_but_the_dashboards_own(reader: Client, target: str) -> None:
    answer = reader.ask(target)
    assert answer.status in (400, 403, 404)
    for secret in (b"root:", b"SQLite format", b"def create_app"):
        assert secret not in answer.body


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * (1 << 17) + b"\r\n\r\n",
        b"GET  /  HTTP/9\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"PUT / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: zip, chunked\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_and_does_no_harm(reader: Client, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", reader.port), timeout=20) as connection:
        connection.sendall(sent)
        said = connection.recv(4096)
    assert re.match(rb"HTTP/1\.[01] (4\d\d|501) ", said), said
    assert b"\r\nContent-Security-Policy: sandbox;" in said
    assert still_there(reader)


@pytest.mark.parametrize("body", [b"", b"[", b"[1]", b"null", b"\xff", b'{"version": "x"}'])
def test_bad_json_is_a_refusal_of_one_line(reader: Client, body: bytes) -> None:
    answer = reader.ask("/api/studies/1/note", "PUT", body, content_type="application/json")
    assert answer.status == 400
    assert answer.json["reason"]
    assert reader.said == []
    assert still_there(reader)


def test_a_failing_application_is_told_of_in_a_line(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve()
    monkeypatch.setattr("optuna_dashboard._app.static_file", lambda *a, **k: 1 / 0)
    answer = client.ask("/dashboard")
    assert answer.status == 500
    assert b"ZeroDivisionError" not in answer.body
    [line] = client.said
    assert line.startswith(
        "GET /dashboard: ZeroDivisionError: division by zero; its account is in"
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    log = Path(line.rpartition(" ")[2])
    assert "ZeroDivisionError" in log.read_text()
    # and again, as a page does that asks every few seconds
    for target in ("/dashboard", "/dashboard/studies/1", "/dashboard/%C3%A9"):
        assert client.ask(target).status == 500
    assert client.said == [line]
    assert list(log.parent.iterdir()) == [log]


def test_where_no_log_can_be_written_it_is_told_all_the_same(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    client = serve()
    monkeypatch.setattr("optuna_dashboard._app.static_file", lambda *a, **k: 1 / 0)
    (tmp_path / "a file").touch()
    monkeypatch.setattr("cvfp_opt.store.files.bug_log.FOLDER", tmp_path / "a file" / "logs")
    assert client.ask("/dashboard").status == 500
    [line] = client.said
    assert "its account is lost: " in line
    assert line.endswith("a file/logs: cannot be made here: Not a directory")


def test_what_is_told_is_one_line_that_a_terminal_shows(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve()

    def fail(*args: object, **words: object) -> None:
        raise OSError("\x1b[2J\nforged line \u202e")

    monkeypatch.setattr("optuna_dashboard._app.static_file", fail)
    monkeypatch.setattr("cvfp_opt.report.dashboard.study_routes.rename_study", refuse_name)
    client.ask("/dashboard")
    client.change("/api/studies/1/rename", "POST", {"study_name": "\x1b]0;x\x07\nforged"})
    assert len(client.said) == 2
    assert all(line.isprintable() for line in client.said)
    assert "\x1b" not in Path(client.said[0].rpartition(" ")[2]).read_text()


def refuse_name(store: object, old: str, new: str) -> None:
    raise StudyError(new)
