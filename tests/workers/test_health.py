"""A worker answers whether it lives."""

import urllib.request
from urllib.error import HTTPError

import pytest

from cvfp_opt.errors import ServerError
from cvfp_opt.workers.health import Pulse, answering


def test_it_answers_while_it_lives_and_only_there() -> None:
    with answering(0, lambda: True) as port:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez") as answer:
            assert (answer.status, answer.read()) == (200, b"ok\n")
        with pytest.raises(HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/")
        with pytest.raises(ServerError, match=f"--health {port}: .*; name another port"):
            answering(port, lambda: True).__enter__()
    with answering(None, lambda: True) as port:
        assert port is None


def test_a_worker_that_does_nothing_is_not_alive() -> None:
    pulse = Pulse(0.0)
    with answering(0, pulse.alive) as port, pytest.raises(HTTPError, match="503"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/livez")
    pulse = Pulse(60.0)
    pulse.beat()
    assert pulse.alive()
