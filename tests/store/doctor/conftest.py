"""A healthy database, made once and copied."""

import shutil
from pathlib import Path

import pytest
from doctoring import Site, fill

from cvfp_opt.store.database.location import Location


@pytest.fixture(scope="session")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database in which nothing is wrong."""
    path = tmp_path_factory.mktemp("healthy") / "x.db"
    fill(Location.of_file(path))
    return path


@pytest.fixture
def site(healthy: Path) -> Site:
    """A copy of it in the current folder."""
    shutil.copy(healthy, "x.db")
    return Site(Location.of_file(Path("x.db")))
