"""A study on a server, "known", for whoever asks without a token and with."""

from collections.abc import Iterator

import pytest
from databases import fresh_database
from serving import Office

import cvfp_opt as cv
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import open_for_search


@pytest.fixture
def office() -> Iterator[Office]:
    with fresh_database("sqlite") as location, open_for_search(location) as store:
        yield Office.filled(location, store)


@pytest.fixture
def location(office: Office) -> Location:
    return office.location


@pytest.fixture
def remote(office: Office) -> Iterator[cv.Remote]:
    """Connected with a server that asks nobody for a token."""
    client = office.serve()
    yield cv.connect(f"http://{client.host}", timeout=20)
    client.end()


@pytest.fixture
def guarded(office: Office) -> Iterator[str]:
    """The address of a server that asks everybody for one."""
    client = office.serve(allowed_hosts=["elsewhere.example"])
    yield f"http://{client.host}"
    client.end()
