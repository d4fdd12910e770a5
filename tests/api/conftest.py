"""A small plan, and a study of it that was searched once."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import TINY

from cvfp_opt import Plan, Study, Workers, define, search

ALONE = Workers(n_jobs=1)


def tiny_values() -> dict[str, int]:
    """The settings TINY, by key."""
    pairs = (setting.partition("=") for setting in TINY)
    return {key: int(value) for key, _, value in pairs}


@pytest.fixture
def tiny() -> Plan:
    return define("quick").set(tiny_values())


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the database of a study of three trials."""
    folder = tmp_path_factory.mktemp("searched")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("cvfp_opt.training.device.available_threads", lambda: 1)
        plan = define("quick").set(tiny_values())
        search(plan, n_trials=3, name="mine", storage="studies.db", workers=ALONE, progress=False)
        yield folder


@pytest.fixture
def study(searched: Path, isolated_folder: Path) -> Study:
    """That study, in a database of the test's own."""
    shutil.copytree(searched, isolated_folder, dirs_exist_ok=True)
    return Study("mine", "studies.db")
