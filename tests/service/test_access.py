"""Who may ask for what: every route, with tokens of every kind, and from elsewhere."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from serving import Answer, Client, Office, Serve

from cvfp_opt.service.route import Route
from cvfp_opt.service.routes import ROUTES
from cvfp_opt.store.record.tokens import Scope, revoke_token

WORDS = {"name": "known", "number": "1", "worker": "0f"}
GUARDED = [route for route in ROUTES if route.scope is not None]
NAMES = [f"{route.method} {route.path}" for route in GUARDED]
CHANGING = [route for route in ROUTES if route.method != "GET"]


def target(route: Route, **words: str) -> str:
    filled = {name: quote(word, safe="") for name, word in (WORDS | words).items()}
    return route.path.format(**filled)


def ask(client: Client, route: Route, token: str = "", **headers: str) -> Answer:
    if token:
        headers["authorization"] = f"Bearer {token}"
    if route.changes:
        headers["if_match"] = "*"
    if route.body is not None:
        return client.change(target(route), route.method, {}, **headers)
    return client.ask(target(route), route.method, **headers)


def told(answer: Answer) -> str:
    """The sentence of a refusal: of our interface in JSON, of all else as a text."""
    is_problem = answer.headers["content-type"] == "application/problem+json"
    return str(answer.json["detail"]) if is_problem else answer.body.decode()


def content(office: Office) -> list[str]:
    """All that is in a database, but for when tokens were used."""
    with sqlite3.connect(office.location.file) as connection:
        connection.execute("UPDATE cvfp_opt_tokens SET used = NULL")
        found = list(connection.iterdump())
        connection.rollback()
    return found


@pytest.fixture(scope="module")
def everyone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, dict[str, str]]]:
    """A server that asks for a token, and a token of each scope."""
    from service.conftest import filled_office

    for office in filled_office(tmp_path_factory.mktemp("everyone")):
        tokens = {scope.value: office.token(scope.value) for scope in Scope}
        client = office.serve(allowed_hosts=["lab.example"])
        yield client, tokens
        client.end()


@pytest.mark.parametrize("route", GUARDED, ids=NAMES)
def test_without_a_token_nothing_is_told(
    everyone: tuple[Client, dict[str, str]], route: Route
) -> None:
    client, tokens = everyone
    answer = ask(client, route)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="cvfp-opt"'
    for wrong in ("", "cvfp_x", tokens["admin"][:-1], f"{tokens['admin']}x"):
        answer = ask(client, route, authorization=f"Bearer {wrong}")
        assert answer.status == 401
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
        assert told(answer).startswith("that token is unknown, or was revoked; ")
    assert ask(client, route, authorization=f"Basic {tokens['admin']}").status == 401


@pytest.mark.parametrize("scope", [scope for scope in Scope if scope is not Scope.ADMIN])
@pytest.mark.parametrize("route", GUARDED, ids=NAMES)
def test_a_token_is_good_for_its_own_scope_alone(
    everyone: tuple[Client, dict[str, str]], route: Route, scope: Scope
) -> None:
    client, tokens = everyone
    if route.scope is scope:
        return  # it would change what the other tests see; see below
    answer = ask(client, route, tokens[scope.value])
    assert answer.status == 403
    assert route.scope is not None
    assert f"the scope `{route.scope.value}`" in told(answer)
    assert f'scope="{route.scope.value}"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize("route", GUARDED, ids=NAMES)
def test_a_token_of_the_scope_and_of_all_may(
    office: Office, guarded: Client, route: Route
) -> None:
    assert route.scope is not None
    for scope in (route.scope, Scope.ADMIN):
        answer = ask(guarded, route, office.token(scope.value))
        assert answer.status not in (401, 403, 405, 500), answer.body


@pytest.mark.parametrize("route", GUARDED, ids=NAMES)
def test_a_token_for_some_studies_sees_no_other(
    office: Office, guarded: Client, route: Route
) -> None:
    before = content(office)
    answer = ask(guarded, route, office.token("admin", studies="paper-"))
    if not route.path.endswith("openapi.json"):
        assert b"known" not in answer.body.replace(b"got 'known'", b"").replace(b"--unknown", b"")
    if "name" in route.words or route.everything:
        assert answer.status == 403
        assert "names begin with 'paper-'" in told(answer)
    else:
        assert answer.status == 200
    assert [line for line in content(office) if "cvfp_opt_tokens" not in line] == [
        line for line in before if "cvfp_opt_tokens" not in line
    ]


def test_the_dashboard_is_for_those_who_may_see_all_and_changed_by_those_who_may_all(
    office: Office, guarded: Client
) -> None:
    def headers(token: str) -> dict[str, str]:
        return {"authorization": f"Bearer {token}"}

    note = {"version": 1, "body": "words"}
    some, reader = office.token("admin", studies="k"), office.token("read")
    assert guarded.ask("/api/studies").status == 401
    assert guarded.ask("/api/studies", **headers(some)).status == 403
    assert guarded.ask("/api/studies", **headers(office.token("control"))).status == 403
    assert guarded.ask("/api/studies", **headers(reader)).status == 200
    target = "/api/studies/1/note"
    for scopes in (["read"], ["read", "submit", "control"]):
        answer = guarded.change(target, "PUT", note, **headers(office.token(*scopes)))
        assert answer.status == 403
        assert "the scope `admin`" in answer.json["reason"]
    assert guarded.change(target, "PUT", note, **headers(office.token("admin"))).status == 204


def test_asking_changes_nothing(office: Office, client: Client) -> None:
    before = content(office)
    for route in ROUTES:
        if route.method == "GET":
            for method in ("GET", "HEAD", "OPTIONS"):
                client.ask(target(route), method)
    for route in CHANGING:
        for method in ("GET", "HEAD", "OPTIONS", "TRACE", "MOVE"):
            client.ask(target(route), method)
    assert content(office) == before


@pytest.mark.parametrize(
    "foreign",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
)
def test_other_sites_change_nothing(
    office: Office, client: Client, foreign: dict[str, str]
) -> None:
    before = content(office)
    for route in CHANGING:
        answer = ask(client, route, **foreign)
        assert answer.status == 403
    assert content(office) == before


def test_a_token_that_is_shown_counts_where_none_is_asked_for(
    office: Office, client: Client
) -> None:
    reader = {"authorization": f"Bearer {office.token('read')}"}
    assert client.ask("/api/v1/queue", **reader).status == 200
    pause = client.ask("/api/v1/studies/known/pause", "POST", if_match="*", **reader)
    assert pause.status == 403
    assert client.ask("/api/v1/queue", authorization="Bearer x").status == 401


def test_one_that_expired_or_was_revoked_is_good_for_nothing(
    office: Office, guarded: Client
) -> None:
    short = office.token("read", days=1e-9)
    answer = guarded.ask("/api/v1/queue", authorization=f"Bearer {short}")
    assert answer.status == 401
    assert answer.json["detail"].startswith("token 'read 0' expired at 20")
    text = office.token("read")
    assert guarded.ask("/api/v1/queue", authorization=f"Bearer {text}").status == 200
    revoke_token(office.store, "read 1")
    answer = guarded.ask("/api/v1/queue", authorization=f"Bearer {text}")
    assert answer.status == 401
    assert answer.json["detail"].startswith("that token is unknown, or was revoked; ")


def test_a_browser_signs_in_by_a_form_and_its_session_ends_with_the_token(
    office: Office, guarded: Client
) -> None:
    text = office.token("read")
    form = {"content_type": "application/x-www-form-urlencoded", "accept": "text/html"}
    asking = guarded.ask("/dashboard", accept="text/html")
    assert asking.status == 401
    assert b'<form method="post">' in asking.body
    assert b"cvfp-opt token add" in asking.body
    # a link would leave it in the records of proxies
    assert guarded.ask(f"/dashboard?token={text}", accept="text/html").status == 401
    for sent in (b"token=x", b"token=", b"", f"token={text}&token={text}".encode()):
        assert guarded.ask("/dashboard", "POST", sent, **form).status == 401
    sent = f"token={text}".encode()
    evil = {"origin": "http://evil.example"}
    assert guarded.ask("/dashboard", "POST", sent, **form, **evil).status == 403
    assert guarded.ask("/api/v1/queue", "POST", sent, **form).status == 401
    answer = guarded.ask("/dashboard", "POST", sent, **form)
    assert answer.status == 200
    assert text.encode() not in answer.body
    assert "Secure" not in answer.headers["set-cookie"]
    by_https = {"host": "lab.example", "origin": "https://lab.example"}
    assert (
        "; Secure"
        in guarded.ask("/dashboard", "POST", sent, **form, **by_https).headers["set-cookie"]
    )
    cookie = answer.headers["set-cookie"].partition(";")[0]
    assert guarded.ask("/dashboard", cookie=cookie).status == 200
    assert guarded.ask("/api/v1/queue", cookie=cookie).status == 200
    note = {"version": 1, "body": "words"}
    assert guarded.change("/api/studies/1/note", "PUT", note, cookie=cookie).status == 403
    revoke_token(office.store, "read 0")
    assert guarded.ask("/api/v1/queue", cookie=cookie).status == 401
    again = guarded.ask(
        "/dashboard", "POST", f"token={office.token('read')}".encode(), cookie=cookie, **form
    )
    assert again.status == 200


def test_a_session_of_a_token_that_expired_can_be_renewed(
    office: Office, guarded: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = {"content_type": "application/x-www-form-urlencoded"}
    sent = f"token={office.token('read', days=1)}".encode()
    cookie = guarded.ask("/dashboard", "POST", sent, **form).headers["set-cookie"]
    cookie = cookie.partition(";")[0]
    with sqlite3.connect(office.location.file) as connection:
        connection.execute("UPDATE cvfp_opt_tokens SET expires = 1.0")
    answer = guarded.ask("/dashboard", cookie=cookie)
    assert answer.status == 401
    assert b"expired at 1970-01-01 00:00 UTC" in answer.body
    sent = f"token={office.token('read')}".encode()
    assert guarded.ask("/dashboard", "POST", sent, cookie=cookie, **form).status == 200


def test_the_text_of_a_token_is_nowhere(office: Office, guarded: Client, tmp_path: Path) -> None:
    text = office.token("read")
    guarded.ask("/api/v1/queue", authorization=f"Bearer {text}")
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert text.encode() not in file.read_bytes()


@pytest.mark.parametrize("path", ["/cvfp", "/cvfp/lab"])
def test_below_another_path_the_addresses_lead_there(
    office: Office, serve: Serve, path: str
) -> None:
    client = serve(base=path)
    token = {"authorization": f"Bearer {office.token('admin')}"}
    assert client.ask(f"{path}/api/v1/queue").status == 401
    for base in (path, ""):
        assert client.ask(f"{base}/api/v1/queue", **token).status == 200
        answer = client.ask(f"{base}/api/v1/studies/known/trials?limit=2", **token)
        assert answer.headers["link"].startswith(f"<{path}/api/v1/studies/known/trials?after=1&")
        page = client.ask(f"{base}/", **token).body
        assert f'href="{path}/dashboard/studies/1"'.encode() in page
        assert f'formaction="{path}/studies/known/pause"'.encode() in page
    assert client.ask(f"{path}x/api/v1/queue", **token).status == 404
    # whose page would stay empty there
    below = client.ask(f"{path}/dashboard", **token)
    assert below.status == 404
    assert b"the dashboard cannot be shown below a path" in below.body
    assert client.ask("/dashboard", **token).status == 200
    assert client.ask(f"{path}/api/v1/openapi.json", **token).json["servers"] == [{"url": path}]
    form = {"content_type": "application/x-www-form-urlencoded", "accept": "text/html"}
    sent = f"token={office.token('read')}".encode()
    welcome = client.ask(f"{path}/dashboard", "POST", sent, **form)
    assert f"; Path={path};" in welcome.headers["set-cookie"]
    assert f'url={path}/dashboard"'.encode() in welcome.body
