"""What systemd is told, by a real socket as systemd has it."""

import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from cvfp_opt.supervision import Supervisor


@dataclass
class Listener:
    """A supervisor's end of the socket."""

    bound: socket.socket
    address: str

    def received(self) -> list[str]:
        """The lines of the next datagram; fails if none comes."""
        return self.bound.recv(4096).decode().split("\n")

    def is_silent(self, seconds: float) -> bool:
        self.bound.settimeout(seconds)
        try:
            self.bound.recv(4096)
        except TimeoutError:
            return True
        return False

    def supervisor(self, **more: str) -> Supervisor:
        return Supervisor.of({"NOTIFY_SOCKET": self.address} | more)


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest) -> Iterator[Listener]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        name = f"cvfp-opt-{os.getpid()}"
        bound.bind(f"\0{name}" if request.param == "abstract" else os.path.abspath("notify"))
        bound.settimeout(20)
        yield Listener(
            bound, f"@{name}" if request.param == "abstract" else os.path.abspath("notify")
        )


def test_it_is_told_that_we_are_ready_what_we_do_and_that_we_stop(listener: Listener) -> None:
    supervisor = listener.supervisor()
    supervisor.ready("waits for studies")
    assert listener.received() == ["READY=1", "STATUS=waits for studies"]
    supervisor.say("runs trial 3")
    assert listener.received() == ["STATUS=runs trial 3"]
    supervisor.stopping()
    assert listener.received() == ["STOPPING=1"]


def test_a_status_is_one_line_whatever_a_study_is_called(listener: Listener) -> None:
    listener.supervisor().say("study a\nREADY=1\nMAINPID=1 " + "x" * 9000)
    (line,) = listener.received()
    assert line.startswith("STATUS=study a\\nREADY=1")
    assert len(line) < 600


def test_signs_of_life_come_in_time_while_all_is_well(listener: Listener) -> None:
    supervisor = listener.supervisor(WATCHDOG_USEC="300000", WATCHDOG_PID=str(os.getpid()))
    assert supervisor.seconds == 0.3
    with supervisor.watched():
        for _ in range(4):
            listener.bound.settimeout(20)
            assert listener.received() == ["WATCHDOG=1"]
    assert listener.is_silent(0.4)


@pytest.mark.parametrize("answer", ["no", "error", "none"])
def test_no_sign_of_life_is_given_when_not_all_is_well(listener: Listener, answer: str) -> None:
    over = threading.Event()

    def is_well() -> bool:
        if answer == "error":
            raise OSError("the server does not answer")
        return answer == "none" and over.wait(20)

    with listener.supervisor(WATCHDOG_USEC="150000").watched(is_well):
        assert listener.is_silent(0.4)
        over.set()


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "-5"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"},
    ],
)
def test_no_sign_of_life_is_given_that_is_not_wanted(
    listener: Listener, wanted: dict[str, str]
) -> None:
    supervisor = listener.supervisor(**wanted)
    supervisor.alive()
    with supervisor.watched():
        pass
    assert listener.is_silent(0.05)
    supervisor.ready()
    listener.bound.settimeout(20)
    assert listener.received() == ["READY=1"]


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative/socket"])
def test_without_a_supervisor_nothing_is_sent(address: str) -> None:
    assert Supervisor.of({"NOTIFY_SOCKET": address}) == Supervisor()
    Supervisor().ready()


def test_a_supervisor_that_is_gone_or_deaf_is_no_error(listener: Listener) -> None:
    Supervisor(address="/nowhere/notify").ready()
    listener.bound.close()
    listener.supervisor().ready()
