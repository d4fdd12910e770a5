"""A hostile study, and servers that end with the test."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import Client, Serve, Site, fill, storage_folder

from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import open_for_search


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A database with a study and its mirrors."""
    location = Location.of_file(storage_folder(tmp_path) / "cvfp.db")
    with open_for_search(location) as store:
        yield Site(location, store, fill(store))


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server for all tests of a module that change nothing."""
    location = Location.of_file(storage_folder(tmp_path_factory.mktemp("shared")) / "cvfp.db")
    with open_for_search(location) as store:
        site = Site(location, store, fill(store))
        site.artifacts.write("dead-beef", io.BytesIO(b"SQLite format: no study names this file"))
        client = site.serve()
        yield client
        client.end()


@pytest.fixture
def serve(site: Site) -> Iterator[Serve]:
    """``Site.serve``."""
    running: list[Client] = []

    def run(**options: Any) -> Client:
        running.append(site.serve(**options))
        return running[-1]

    yield run
    for client in running:
        client.end()
