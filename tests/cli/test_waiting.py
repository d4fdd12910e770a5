"""A run whose database is away, at any moment, waits and then ends as it would have."""

import gc
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from databases import empty_database
from outages import Door, Killer, administrator
from running import end_of, read_until
from support import TINY_ARGUMENTS, Outcome, Start

from cvfp_opt.api import running
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import open_for_reading
from cvfp_opt.store.record.summary import Summary

# SQLAlchemy forgets to close a connection that ends while it asks the server who it is.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in.*BaseConnection.__del__:pytest.PytestUnraisableExceptionWarning"
)
Invoke = Callable[..., Outcome]
WORDS = ["run", "quick", *TINY_ARGUMENTS, "--threads", "1", "--n-jobs", "1", "--n-trials", "1"]


@pytest.fixture
def postgresql() -> Iterator[Location]:
    with empty_database("postgresql") as location:
        yield location


@pytest.fixture
def killer() -> Iterator[Killer]:
    listener = Killer()
    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", listener)
    yield listener
    sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", listener)
    gc.collect()  # here, where what is said of a killed connection is no fault


def kill_at(fractions: list[float], location: Location, invoke: Invoke, killer: Killer) -> None:
    killer.at = 2  # the database is still empty: among the very first looks
    words = [*WORDS, "--storage", location.url, "--wait-for-database", "60", "--study-name"]
    first = invoke(*words, "s0")
    assert first.code == 0, first.err
    killer.at, killer.count = None, 0
    assert invoke(*words, "s").code == 0
    total = killer.count
    for number, fraction in enumerate(fractions, start=1):
        killer.at, killer.count = round(fraction * (total - 1)), 0
        outcome = invoke(*words, f"s{number}")
        assert outcome.code == 0, (killer.at, total, outcome.out, outcome.err)
        assert killer.count > killer.at or fraction > 0.5  # how many there are depends on time
    killer.at = None
    with open_for_reading(location) as store:
        studies = {s.study_name: s._study_id for s in store.storage.get_all_studies()}
        counts = {
            name: store.storage.get_n_trials(study_id)
            for name, study_id in studies.items()
            if "/" not in name
        }
    assert counts == dict.fromkeys(["s", *(f"s{n}" for n in range(len(fractions) + 1))], 1)


def test_a_connection_killed_at_some_moment_costs_nothing(
    postgresql: Location, invoke: Invoke, killer: Killer
) -> None:
    kill_at([0.07, 0.35], postgresql, invoke, killer)


def test_a_connection_killed_at_the_last_look_costs_nothing(
    postgresql: Location,
    invoke: Invoke,
    killer: Killer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    look = Summary.of

    def kill_and_look(*arguments: Any, **words: Any) -> Summary:
        monkeypatch.setattr(Summary, "of", look)
        killer.at = killer.count
        return look(*arguments, **words)

    def run_trials(*arguments: Any, **words: Any) -> Any:
        found = real(*arguments, **words)
        monkeypatch.setattr(Summary, "of", kill_and_look)
        return found

    real = running.run_trials
    monkeypatch.setattr(running, "run_trials", run_trials)
    outcome = invoke(*WORDS, "--storage", postgresql.url)
    assert outcome.code == 0, outcome.err
    assert killer.at is not None
    assert "best" in outcome.out


@pytest.mark.slow
def test_a_connection_killed_at_any_moment_costs_nothing(
    postgresql: Location, invoke: Invoke, killer: Killer
) -> None:
    kill_at([n / 80 for n in range(81)], postgresql, invoke, killer)


def test_a_run_waits_for_a_database_that_is_read_only_for_a_while(
    postgresql: Location, start: Start
) -> None:
    name = sqlalchemy.make_url(postgresql.url).database
    with administrator() as other:
        other.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        process = start(*WORDS, "--storage", postgresql.url, cwd=Path.cwd())
        assert "read-only" in read_until(process, "the database does not answer")
        other.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    code, out = end_of(process)
    assert code == 0, out
    assert "the database is back after" in out


@pytest.fixture
def door(postgresql: Location) -> Iterator[Door]:
    url = sqlalchemy.make_url(postgresql.url)
    assert url.host is not None
    door = Door(url.host, url.port or 5432)
    yield door
    door.close()


def behind(door: Door, location: Location) -> str:
    """The URL of a database behind a door."""
    url = sqlalchemy.make_url(location.url).set(host="127.0.0.1", port=door.port)
    return url.render_as_string(hide_password=False)


def test_a_run_waits_for_a_server(postgresql: Location, door: Door, start: Start) -> None:
    process = start(*WORDS, "--storage", behind(door, postgresql), cwd=Path.cwd())
    read_until(process, "the database does not answer")
    door.open()
    code, out = end_of(process)
    assert code == 0, out
    assert "the database is back after" in out


def test_serve_waits_for_a_server_before_it_listens(
    postgresql: Location, door: Door, start: Start
) -> None:
    words = ["serve", "--port", "0", "--storage", behind(door, postgresql)]
    process = start(*words, cwd=Path.cwd())
    assert "http://" not in read_until(process, "waiting for up to 600 s")
    door.open()
    assert "the database is back after" in read_until(process, "http://127.0.0.1:")
    process.terminate()
    assert end_of(process)[0] == 128 + signal.SIGTERM  # it may come before anything is served


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"database": "cvfp_nowhere"}, "there is no database 'cvfp_nowhere'; type `createdb"),
        ({"username": "cvfp_nobody"}, "the server cannot be used: "),
        ({"host": "nowhere.invalid"}, "there is no host 'nowhere.invalid'"),
    ],
)
def test_what_does_not_pass_is_told_at_once(
    postgresql: Location, invoke: Invoke, change: dict[str, str], says: str
) -> None:
    url = sqlalchemy.make_url(postgresql.url).set(**change)  # type: ignore[arg-type]
    outcome = invoke(*WORDS, "--storage", url.render_as_string(hide_password=False))
    assert outcome.code == 1
    assert says in outcome.err
    assert "waiting" not in outcome.out


LAST_MOMENT = """
import atexit, os, signal, sys
from cvfp_opt.cli import main
sys.argv = ["cvfp-opt", "--version"]
interrupt = lambda *more: os.kill(os.getpid(), signal.SIGINT)
if {early}:
    real = sys.exit
    sys.exit = lambda code: (interrupt(), real(code))
else:
    atexit.register(interrupt)
main()
"""


@pytest.mark.parametrize("early", [True, False])
def test_an_interrupt_in_the_last_moment_is_no_death_by_signal(early: bool) -> None:
    program = [sys.executable, "-c", LAST_MOMENT.format(early=early)]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("cvfp-opt, version")
