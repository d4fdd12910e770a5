"""Requests of all kinds, right, nearly right and absurd: none may be answered with a fault."""

import http.client
import json
import random
import socket
from typing import Any

import optuna
import pytest
from serving import Answer, Serve, Site

ODD_METHODS = ("HEAD", "OPTIONS", "PATCH", "TRACE", "CONNECT", "BREW", "PROPFIND", "get")
STUDY = ("1", "1", "1", "2", "3", "4", "5", "0", "-1", "9999", "9" * 12, "9" * 25, "9" * 5000,
         "1.0", "1e3", "%31", "٣", "x", "%FF", "%00", "", "nan")  # fmt: skip
ROUTES = (
    "GET /", "GET /dashboard", "GET /dashboard/studies/{study}", "GET /api/meta",
    "GET /api/studies", "POST /api/studies", "GET /api/studies/{study}",
    "DELETE /api/studies/{study}", "POST /api/studies/{study}/rename",
    "PUT /api/studies/{study}/note", "PUT /api/studies/{study}/{trial}/note",
    "GET /api/studies/{study}/param_importances", "GET /api/studies/{study}/plot/{plot}",
    "POST /api/studies/{study}/preference", "DELETE /api/studies/{study}/preference/{word}",
    "POST /api/studies/{study}/preference/{word}", "POST /api/studies/{study}/{trial}/skip",
    "PUT /api/studies/{study}/preference_feedback_component", "POST /api/trials/{trial}/tell",
    "POST /api/trials/{trial}/user-attrs", "GET /csv/{study}",
    "GET /artifacts/{study}/{artifact}", "GET /artifacts/{study}/{trial}/{artifact}",
    "POST /api/artifacts/{study}", "POST /api/artifacts/{study}/{trial}",
    "DELETE /api/artifacts/{study}/{artifact}",
    "DELETE /api/artifacts/{study}/{trial}/{artifact}", "GET /static/{word}",
    "GET /static/bundle.js", "GET /favicon.ico", "GET /incompatible-rdb-schema",
    "POST /incompatible-rdb-schema", "POST /api/llm/trial_filter_query",
    "POST /api/llm/generate_plotly_graph_query", "POST /api/llm/re_generate_plotly_graph_query",
    "GET /{word}",
)  # fmt: skip
PLOTS = ("contour", "slice", "parallel_coordinate", "rank", "edf", "timeline", "pareto_front", "x")
WORDS = ("a", "..", "%2e%2e", "%2F", "%5c", "%00", "%0d%0aX:1", "%FF", "%E2%80%AE", "a b", "é",
         "a" * 3000, "'--", "<script>", "{{7*7}}", "%25s", "__class__", ";", "\\")  # fmt: skip
QUERIES = ("", "", "", "?", "?after=0", "?after=-1", "?after=x", "?after=" + "9" * 5000, "?after=",
           "?trial_ids=0,1", "?trial_ids=x", "?trial_ids=" + "9," * 900, "?trial_ids=,",
           "?token=%FF", "?a=%00", "?" + "&" * 999, "?%", "?after=0&after=x")  # fmt: skip
HEADERS = (
    ("Origin", "http://["), ("Origin", "null"), ("Cookie", "a=" + '\\"' * 9000),
    ("Range", "bytes=0-"), ("Range", "bytes=9-1,-,x"), ("Range", "bytes=" + "0-1," * 900),
    ("If-Modified-Since", "x"), ("If-Modified-Since", "Thu, 01 Jan 99999 00:00:00 GMT"),
    ("If-None-Match", '"' * 99), ("Accept-Encoding", "gzip"), ("Accept-Encoding", "\xff"),
    ("Accept", "text/html"), ("Authorization", "Basic \xff"), ("Authorization", "Bearer"),
    ("X-HTTP-Method-Override", "DELETE"), ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-For", "'"), ("Forwarded", "for="), ("Upgrade", "websocket"),
    ("Transfer-Encoding", "gzip"), ("Expect", "200-maybe"), ("Host", "["), ("Host", "a" * 999),
    ("Content-Type", "multipart/form-data"), ("Content-Type", "multipart/form-data; boundary=x"),
    ("Content-Type", "application/x-www-form-urlencoded"), ("Content-Type", "\xff;;;"),
    ("Sec-Fetch-Site", "\xff"), ("User-Agent", "\x1b[2J"),
)  # fmt: skip
FIELDS = ("study_name", "directions", "remove_associated_artifacts", "version", "body", "mode",
          "candidates", "clicked", "output_type", "artifact_key", "state", "values", "user_attrs",
          "file", "filename", "user_query", "last_response")  # fmt: skip
RIGHT: dict[str, Any] = {
    "study_name": "another", "directions": ["minimize"], "remove_associated_artifacts": True,
    "version": 1, "body": "words", "mode": "ChooseWorst", "candidates": [0, 1], "clicked": 0,
    "output_type": "note", "artifact_key": None, "state": "complete", "values": [0.5],
    "user_attrs": {"a": 1}, "file": "data:text/plain;base64,aGVsbG8=", "filename": "a.txt",
}  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1, 2**31, 10**400, 1.5, 1e308, "", "x", "a" * 5000, "\0", "\ud800",
    "\x1b[2J", "complete", "minimize", "data:", "data:,%", "data:a;base64,===", "http://[",
    [], [[]], [None], ["x"], [1, "2"], [1e308, 2], [-1], [999], {}, {"a": {}}, {"": None},
    {"a" * 3000: 1}, {"\ud800": 1},
)  # fmt: skip
BODIES = (b"", b"[", b"[1]", b"null", b'"x"', b"0", b"\xff", b"{}", b"NaN", b'{"values": [NaN]}',
          b'{"values": [1e999]}', b'{"version": ' + b"9" * 5000 + b"}", b"[" * 50_000,
          b'{"user_attrs": ' + b'{"a":' * 900 + b"1" + b"}" * 901, b'{"a": 1, "a": 2}',
          "{}".encode("utf-16"))  # fmt: skip


Request = tuple[str, str, list[tuple[str, str]], bytes]


def composed(chance: random.Random, artifact: str) -> Request:
    """Method, target, headers, body: each right more often than not, so that the rest counts."""

    def odd() -> bool:
        return chance.random() < 0.2

    def number(right: str) -> str:
        return chance.choice(STUDY if odd() else right)

    method, path = chance.choice(ROUTES).split()
    value = {name: RIGHT.get(name) for name in FIELDS}
    for name in chance.sample(FIELDS, chance.choice((0, 0, 1, 2))):
        value[name] = chance.choice(VALUES)
    for name in chance.sample(FIELDS, chance.choice((0, 0, 1, 8))):
        del value[name]
    body = json.dumps(value).encode() if method not in ("GET", "HEAD") else b""
    headers = [("Content-Type", "application/json")]
    path = path.format(
        study=number("6" if method == "DELETE" and "artifacts" not in path else "1112345"),
        trial=number("1123456789"),
        plot=chance.choice(PLOTS),
        word=chance.choice(WORDS),
        artifact=artifact if not odd() else chance.choice(("dead-beef", "a" * 300, "-")),
    )
    target = path + (chance.choice(QUERIES) if odd() else "")
    if odd():
        body = chance.choice(BODIES)
    if odd():
        headers += chance.sample(HEADERS, 2)
    if odd():
        method = chance.choice(ODD_METHODS)
    return method, target.encode().decode("latin-1"), headers, body


def send(port: int, request: Request) -> Answer:
    """Send it as it is: ``http.client`` would refuse some."""
    method, target, headers, body = request
    head = [f"{method} {target.replace(' ', '%20')} HTTP/1.1", "Connection: close"]
    named = {"Host": f"127.0.0.1:{port}"} | dict(headers)
    head += [f"{name}: {value}" for name, value in named.items()]
    head += [f"Content-Length: {len(body)}", "", ""]
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall("\r\n".join(head).encode("latin-1") + body)
        response = http.client.HTTPResponse(connection, method=method)
        response.begin()
        given = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, given, response.read())


@pytest.mark.filterwarnings("ignore:Target and region quantiles:UserWarning")  # of a plot
@pytest.mark.parametrize(
    ("seed", "count"), [(0, 200), pytest.param(1, 1000, marks=pytest.mark.slow)]
)
def test_no_request_is_answered_with_a_fault(
    serve: Serve, site: Site, seed: int, count: int
) -> None:
    optuna.create_study(study_name="4", storage=site.store.storage, directions=["minimize"] * 2)
    waiting = optuna.create_study(study_name="5", storage=site.store.storage)
    for _ in range(3):
        waiting.ask()
    client = serve()
    sent = {"file": RIGHT["file"], "filename": "a.txt"}
    artifact = client.change("/api/artifacts/1", "POST", sent).json["artifact_id"]
    chance = random.Random(seed)
    for _ in range(count):
        request = composed(chance, artifact)
        answer = send(client.port, request)
        case = f"{request} was answered with {answer.status}: {answer.body[:300]!r}"
        assert answer.status < 500 or answer.status == 501, case
        assert b"Traceback" not in answer.body, case
        assert answer.headers["x-content-type-options"] == "nosniff", case
        assert "evil" not in str(answer.headers), case
        assert not [line for line in client.said if "account" in line or "\n" in line], case
        assert not [line for line in client.said if not line.isprintable()], case
    for study in client.ask("/api/studies").json["study_summaries"]:
        assert client.ask(f"/api/studies/{study['study_id']}").status == 200
