"""Connections that are slow, idle, large or many, and somebody who only wants an answer."""

import socket
from contextlib import ExitStack, closing

import pytest
from serving import Client, Serve

from cvfp_opt.report.dashboard import connections
from cvfp_opt.report.dashboard.connections import CONNECTIONS, place

HEAD = b"PUT /api/studies/1/note HTTP/1.1\r\nHost: 127.0.0.1\r\n"
# Half-way: in the headers, in a body, in a chunked body, between requests, at the very beginning.
HALF = {
    "headers": HEAD + b"X: ",
    "body": HEAD + b"Content-Length: 16000000\r\n\r\n{",
    "chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
    "continue": HEAD + b"Content-Length: 9\r\nExpect: 100-continue\r\n\r\n",
    "idle": b"GET /api/meta HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "silent": b"",
}


def connect(client: Client, sent: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", client.port), timeout=20)
    connection.sendall(sent)
    return connection


def ends(connection: socket.socket) -> bool:
    """Whether the server ends it."""
    try:
        while connection.recv(1 << 16):
            pass
    except ConnectionResetError:
        pass
    return True


@pytest.mark.parametrize("kind", HALF)
def test_many_slow_ones_keep_nobody_out(reader: Client, kind: str) -> None:
    with ExitStack() as stack:
        slow = [
            stack.enter_context(closing(connect(reader, HALF[kind])))
            for _ in range(CONNECTIONS + 30)
        ]
        for _ in range(3):
            assert reader.ask("/api/meta").status == 200
        assert ends(slow[0])  # the one that waited longest
    assert reader.ask("/api/meta").status == 200


def test_many_that_take_no_answer_keep_nobody_out(reader: Client) -> None:
    asked = b"GET /static/bundle.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(CONNECTIONS + 10):
            slow = socket.socket()
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stack.enter_context(closing(slow)).connect(("127.0.0.1", reader.port))
            slow.sendall(asked)
        assert reader.ask("/api/meta").status == 200


def test_one_address_takes_nothing_from_others(reader: Client) -> None:
    with ExitStack() as stack:
        other = socket.create_connection(
            ("127.0.0.1", reader.port), timeout=20, source_address=("127.0.0.2", 0)
        )
        stack.enter_context(closing(other))
        other.sendall(HALF["headers"])
        for _ in range(CONNECTIONS + 30):
            stack.enter_context(closing(connect(reader, HALF["headers"])))
        assert reader.ask("/api/meta").status == 200
        other.sendall(b"a\r\nContent-Length: 0\r\n\r\n")
        assert other.recv(12) == b"HTTP/1.1 400"  # of the dashboard: no note


def test_one_that_does_not_get_on_is_closed(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_EVERY", 0)
    monkeypatch.setattr(connections, "SECONDS", 0)
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0)
    client = serve()
    for sent in HALF.values():
        with closing(connect(client, sent)) as slow:
            assert ends(slow)
    monkeypatch.setattr(connections, "IDLE_SECONDS", 60)
    monkeypatch.setattr(connections, "BYTES", 0)  # whatever comes is enough
    body = b'{"version": 1, "body": "' + b"x" * 100_000 + b'"}'
    answer = client.ask("/api/studies/1/note", "PUT", body, content_type="application/json")
    assert answer.status == 204


@pytest.mark.parametrize("sent", [b"5" * 20_000, b"5;" + b"a" * 20_000, b"0\r\n" + b"a:" * 9_000])
def test_a_line_without_end_in_a_body_is_refused(reader: Client, sent: bytes) -> None:
    # waitress looks at all of it again with each piece: 16 MB would hold everybody up
    with closing(connect(reader, HEAD + b"Transfer-Encoding: chunked\r\n\r\n")) as connection:
        connection.sendall(sent)
        assert connection.recv(12) == b"HTTP/1.1 400"


def test_an_address_is_one_place() -> None:
    assert place(("192.0.2.1", 5)) == place(("::ffff:192.0.2.1", 5, 0, 0)) == "192.0.2.1"
    assert place(("2001:db8::1", 5, 0, 0)) == place(("2001:db8::2:1", 5, 0, 0))
    assert place(("fe80::1%eth0", 5, 0, 2)) != place(("2001:db8::1", 5, 0, 0))
