"""Dask clusters that are refused, in one line, before anything is written."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import TINY_ARGUMENTS, Outcome

pytest.importorskip("distributed")

import dask.config
from distributed import LocalCluster

from cvfp_opt.workers.dask import cluster as dask_cluster
from cvfp_opt.workers.dask.members import own_versions

Invoke = Callable[..., Outcome]
RUN = ["run", "quick", *TINY_ARGUMENTS, "--n-trials", "1", "--engine", "dask"]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster with one worker, which lives in this process: it has our versions."""
    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        dashboard_address="127.0.0.1:0",
    ) as cluster:
        yield cluster.scheduler_address


def refusal(outcome: Outcome) -> str:
    assert outcome.code == 1
    [line] = outcome.err.splitlines()
    assert not list(Path.cwd().iterdir())
    return line


@pytest.fixture
def silence() -> Iterator[str]:
    """The address of one who listens but says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


def test_a_scheduler_that_does_not_answer_is_given_up_in_time(
    invoke: Invoke, silence: str
) -> None:
    with dask.config.set({"distributed.comm.timeouts.connect": "0.2s"}):
        line = refusal(invoke(*RUN, "--scheduler", silence))
        assert f"--scheduler {silence}: no Dask scheduler can be reached" in line
        line = refusal(invoke(*RUN, "--scheduler", "tcp://127.0.0.1:9"))
        assert "Timed out trying to connect to tcp://127.0.0.1:9" in line
    assert "unknown address scheme" in refusal(invoke(*RUN, "--scheduler", "foo://x:1"))


def test_a_workers_address_is_no_schedulers(invoke: Invoke, address: str) -> None:
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        [worker] = client.scheduler_info()["workers"]
    line = refusal(invoke(*RUN, "--scheduler", worker))
    assert "there is a Dask worker at this address" in line


def test_other_versions_are_refused(
    invoke: Invoke, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = own_versions()
    monkeypatch.setattr(dask_cluster, "own_versions", lambda: ours | {"torch": "1.0"})
    line = refusal(invoke(*RUN, "--scheduler", address))
    assert line.startswith("Error: Dask worker 0 (tcp://127.0.0.1:")
    assert f"torch {ours['torch']} (here 1.0): the same versions are required" in line
    monkeypatch.setattr(dask_cluster, "own_versions", lambda: ours | {"distributed": "1.0"})
    line = refusal(invoke(*RUN, "--scheduler", address))
    assert line.startswith(f"Error: Dask scheduler {address}: distributed ")


def test_sqlite_is_refused_to_workers_of_other_machines(
    invoke: Invoke, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_cluster, "this_boot", lambda: "another")
    line = refusal(invoke(*RUN, "--scheduler", address))
    assert "is an SQLite database, which serves one machine" in line
    assert "--storage postgresql://USER@HOST/DATABASE" in line


def test_the_extra_is_named_where_it_is_missing(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_cluster, "find_spec", lambda name: None)
    assert "type `pip install -e '.[dask]'`" in refusal(invoke(*RUN))


def test_an_unknown_engine_lists_those_there_are(invoke: Invoke) -> None:
    line = refusal(invoke(*RUN[:-1], "dusk"))
    assert "did you mean 'dask'? (valid: dask, processes)" in line
    line = refusal(invoke(*RUN[:-2], "--scheduler", "tcp://x:1"))
    assert "--scheduler: --engine dask is required with it" in line


@pytest.mark.parametrize("address", ["tcp://me:Sec/ret@127.0.0.1:1", "me:Secret@127.0.0.1:1"])
def test_an_address_with_a_password_is_refused_unseen(invoke: Invoke, address: str) -> None:
    line = refusal(invoke(*RUN, "--scheduler", address))
    assert "leave them out" in line
    assert "ret@" not in line
