"""Files and databases of earlier versions are read, shown and resumed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support import REPOSITORY, TINY_ARGUMENTS, Outcome

pytestmark = pytest.mark.usefixtures("figures")
Invoke = Callable[..., Outcome]
FIXTURES = sorted((REPOSITORY / "tests" / "fixtures").glob("format-*"))


@pytest.fixture(params=FIXTURES, ids=lambda path: path.name)
def old(request: pytest.FixtureRequest, isolated_folder: Path) -> Path:
    """A copy of what one format left: ``storage/cvfp.db`` and ``checkpoint``."""
    (isolated_folder / "storage").mkdir()
    shutil.copy(request.param / "study.db", "storage/cvfp.db")
    shutil.copytree(request.param / "checkpoint", "checkpoint")
    return isolated_folder


def test_an_old_study_is_shown(old: Path, invoke: Invoke) -> None:
    for words in (["list"], ["status"], ["best"], ["best", "--toml"], ["thresholds"]):
        outcome = invoke(*words)
        assert outcome.code == 0, outcome.err
    assert "trial 2: score 0.695" in invoke("best").out


def test_an_old_study_goes_on(old: Path, invoke: Invoke) -> None:
    before = json.loads(invoke("status", "--json").out)
    words = ["--study-name", "quick", "--n-trials", "4", "--threads", "1"]
    assert invoke("run", *words).code == 0
    refused = invoke("run", "quick", *TINY_ARGUMENTS, "--n-trials", "5", "--threads", "1")
    assert refused.code == 1  # `quick` is another definition by now
    assert "training.min_converged_ratio" in refused.err
    assert "cvfp-opt run --study-name quick" in refused.err
    assert invoke("run", "--study-name", "quick", "--n-trials", "5", "--threads", "1").code == 0
    after = json.loads(invoke("status", "--json").out)
    assert before["counts"]["complete"] == 3
    assert sum(after["counts"].values()) == 5


def test_an_old_checkpoint_is_read(old: Path, invoke: Invoke) -> None:
    assert invoke("verify", "quick", "checkpoint").code in (0, 1)
    assert invoke("thresholds", "checkpoint").code == 0
