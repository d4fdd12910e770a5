"""Requests that are large, slow, many or broken, and somebody who only wants an answer."""

import http.client
import socket
import threading
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from service.conftest import filled_office
from serving import Answer, Client

from cvfp_opt.errors import StorageError
from cvfp_opt.report.dashboard.server import MAX_BODY as MOST
from cvfp_opt.service.application import STATUSES
from cvfp_opt.service.reading import MAX_BODY
from cvfp_opt.store.database.file_watch import FileGone
from cvfp_opt.store.record.summary import Summary

STUDY = "/api/v1/studies/mine"
HEAD = f"PUT {STUDY} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n".encode()
HALF = {
    "headers": HEAD + b"X: ",
    "body": HEAD + b"Content-Length: 500000\r\n\r\n{",
    "chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{",
    "silent": b"",
}


def is_problem(answer: Answer, status: int) -> bool:
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["status"] == answer.status
    return answer.status == status


def connect(client: Client, sent: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", client.port), timeout=20)
    connection.sendall(sent)
    return connection


@pytest.mark.parametrize("kind", HALF)
def test_fifty_slow_ones_keep_nobody_out(shared: Client, kind: str) -> None:
    with ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(closing(connect(shared, HALF[kind])))
        for _ in range(3):
            assert shared.ask("/api/v1/queue").status == 200
        assert shared.ask(f"{STUDY}/pause", "POST", if_match="*").status == 404
    assert shared.ask(STUDY).status == 404  # none of them has submitted anything
    assert shared.said == []


def test_what_is_too_large_is_refused(shared: Client) -> None:
    answer = shared.change(STUDY, "PUT", {"toml": "x" * MAX_BODY})
    assert is_problem(answer, 413)
    assert str(MAX_BODY) in answer.json["detail"]
    # the server itself takes no more, and does not wait for it
    assert shared.ask(STUDY, "PUT", content_length=str(MOST + 1)).status == 413
    with closing(connect(shared, HEAD + b"Transfer-Encoding: chunked\r\n\r\n")) as connection:
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        for _ in range(MAX_BODY // 0x10000 + 1):
            connection.sendall(chunk)
        connection.sendall(b"0\r\n\r\n")
        response = http.client.HTTPResponse(connection)
        response.begin()
        assert response.status == 413
    assert shared.ask("/api/v1/queue", "GET", b"x" * 2000).status == 200


def test_slow_answers_leave_room_for_quick_ones(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()

    def slow(self: object) -> Summary:
        begun.release()
        assert go_on.wait(20)
        raise StorageError("the end of a slow one")

    monkeypatch.setattr("cvfp_opt.service.route.Call.summary", slow)
    report = "/api/v1/studies/known/report"
    asking = [threading.Thread(target=client.ask, args=(report,)) for _ in range(2)]
    for one in asking:
        one.start()
    for _ in asking:
        assert begun.acquire(timeout=20)
    refused = client.ask(report)
    assert is_problem(refused, 503)
    assert refused.headers["retry-after"] == "1"
    assert client.ask("/api/v1/queue").status == 200
    go_on.set()
    for one in asking:
        one.join(20)
    assert "the end of a slow one" in client.ask(report).json["detail"]


def test_a_fault_of_ours_is_told_to_the_operator_alone(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cvfp_opt.service.route.Call.summary", lambda self: 1 / 0)
    answer = client.ask("/api/v1/studies/known")
    assert is_problem(answer, 500)
    assert b"ZeroDivisionError" not in answer.body
    [line] = client.said
    assert line.startswith("GET /api/v1/studies/known: ZeroDivisionError: division by zero; its ")


def test_nothing_is_made_in_the_place_of_a_file_that_is_gone(tmp_path: Path) -> None:
    offices = filled_office(tmp_path)
    office = next(offices)
    client = office.serve()
    office.location.file.rename(tmp_path / "away.db")
    for method, target in (
        ("PUT", STUDY),
        ("POST", "/api/v1/studies/known/pause"),
        ("GET", "/api/v1/queue"),
    ):
        answer = client.ask(target, method, if_match="*")
        assert is_problem(answer, 503)
        assert answer.json["type"] == "urn:cvfp-opt:error:FileGone"
        assert "was moved to" in answer.json["detail"]
        assert answer.headers["retry-after"] == "5"
    assert not office.location.file.exists()
    client.end()
    with pytest.raises(FileGone):
        next(offices)


@pytest.mark.parametrize(
    "target",
    [
        "/api/v1/studies/../queue",
        "/api/v1/studies/%2e%2e/queue",
        "/api/v1/studies//known",
        "/api/v1/studies/%FF",
        "/api/v1/queue?x=%FF",
        "/api/v1/queue?x=%00",
        "http://evil.example/api/v1/queue",
        "/api/v1/queue#x",
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(shared: Client, target: str) -> None:
    answer = shared.ask(target)
    assert answer.status == 400
    assert target.startswith("http") or is_problem(answer, 400)


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/api/v1/", 404),
        ("/api/v1/nothing", 404),
        ("/api/v1/studies/known/nothing", 404),
        ("/api/v1/studies/known/trials/1/nothing", 404),
        ("/api/v2/queue", 404),
        ("/api/v1/queue?x=1", 400),
        ("/api/v1/queue/", 200),
    ],
)
def test_what_is_not_there_is_not_found(shared: Client, target: str, status: int) -> None:
    assert shared.ask(target).status == status


def test_other_methods_are_named(shared: Client) -> None:
    for target, allowed in (
        ("/api/v1/queue", "GET, HEAD"),
        (STUDY, "PUT, GET, PATCH, DELETE, HEAD"),
        (f"{STUDY}/pause", "POST"),
    ):
        for method in ("TRACE", "OPTIONS", "BREW"):
            answer = shared.ask(target, method)
            assert is_problem(answer, 405)
            assert answer.headers["allow"] == allowed


def test_every_answer_keeps_browsers_from_helping(shared: Client) -> None:
    for target in ("/api/v1/queue", "/api/v1/studies/known", STUDY, "/api/v1/nothing"):
        headers = shared.ask(target).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers


def test_each_error_has_its_status() -> None:
    kinds = [kind for kind, _ in STATUSES]
    for place, kind in enumerate(kinds):
        assert not any(issubclass(kind, other) for other in kinds[:place])
