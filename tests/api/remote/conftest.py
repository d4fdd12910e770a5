"""A study on a server, without a token and with."""

from collections.abc import Iterator

import pytest
from databases import fresh_database
from remote_server import serving
from serving import fill

import cvfp_opt as cv
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import open_for_search


@pytest.fixture
def location() -> Iterator[Location]:
    """A database with a study of five trials, "known"."""
    with fresh_database("sqlite") as found:
        with open_for_search(found) as store:
            fill(store, "known")
        yield found


@pytest.fixture
def remote(location: Location) -> Iterator[cv.Remote]:
    """Connected with a server of that database, which asks nobody for a token."""
    with serving(location) as url:
        yield cv.connect(url, timeout=20)
