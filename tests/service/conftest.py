"""A known study behind `serve`, and servers that end with the test."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import Client, Office, Serve, storage_folder

from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import open_for_search


def filled_office(folder: Path) -> Iterator[Office]:
    location = Location.of_file(storage_folder(folder) / "cvfp.db")
    with open_for_search(location) as store:
        yield Office.filled(location, store)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """A database with the study "known"."""
    yield from filled_office(tmp_path)


@pytest.fixture
def serve(office: Office) -> Iterator[Serve]:
    """``Office.serve``."""
    running: list[Client] = []

    def run(**options: Any) -> Client:
        running.append(office.serve(**options))
        return running[-1]

    yield run
    for client in running:
        client.end()


@pytest.fixture
def client(serve: Serve) -> Client:
    """A server that asks nobody for a token."""
    return serve()


@pytest.fixture
def guarded(serve: Serve) -> Client:
    """A server that asks everybody for a token."""
    return serve(allowed_hosts=["lab.example"])


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server that asks nobody for a token, for all tests of a module that leave it as it is."""
    for office in filled_office(tmp_path_factory.mktemp("shared")):
        client = office.serve()
        yield client
        client.end()
