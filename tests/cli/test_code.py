"""docs/extending.md to the letter; and code that only a study names does not run unasked."""

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import REPOSITORY, TINY_ARGUMENTS, Outcome

Invoke = Callable[..., Outcome]
PAGE = (REPOSITORY / "docs" / "extending.md").read_text()


@pytest.fixture(autouse=True)
def forget_modules() -> Iterator[None]:
    yield
    for name in ("my_losses", "loud"):
        sys.modules.pop(name, None)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_the_page_runs_as_it_is_written(invoke: Invoke) -> None:
    loss, schedule = blocks("python")
    assert len(loss.splitlines()) <= 15
    Path("my_losses.py").write_text(loss + schedule)
    for command in blocks("console"):
        outcome = invoke(*shlex.split(command)[1:], *TINY_ARGUMENTS, "--threads", "1")
        assert outcome.code == 0, outcome.err
        assert "3 complete" in outcome.out


LOUD = """
from pathlib import Path
from cvfp_opt.model.diversity import orthogonality
Path("imported").touch()
def loss(contexts, running_mean):
    return orthogonality(contexts, running_mean)
"""


def test_code_that_only_the_study_names_runs_when_allowed(invoke: Invoke) -> None:
    Path("loud.py").write_text(LOUD)
    words = [*TINY_ARGUMENTS, "--threads", "1", "--set", "diversity.loss=loud:loss"]
    assert invoke("run", "quick", "--n-trials", "1", *words).code == 0
    Path("imported").unlink()
    del sys.modules["loud"]
    for command in ("status", "best", "list", "thresholds"):
        assert invoke(command).code == 0
    go_on = ("run", "--study-name", "quick", "--n-trials", "2", "--threads", "1")
    refused = invoke(*go_on)
    assert (refused.code, refused.out) == (1, "")
    assert "study 'quick' names code of its own: loud:loss" in refused.err
    assert "add --allow-code" in refused.err
    assert not Path("imported").exists()
    assert invoke(*go_on, "--allow-code").code == 0
    assert Path("imported").exists()
    # whoever types the definition has named the code
    assert invoke("run", "quick", "--n-trials", "3", *words).code == 0


def test_code_that_changed_is_refused(invoke: Invoke) -> None:
    Path("loud.py").write_text(LOUD)
    words = [*TINY_ARGUMENTS, "--threads", "1", "--set", "diversity.loss=loud:loss"]
    assert invoke("run", "quick", "--n-trials", "1", *words).code == 0
    Path("loud.py").write_text(LOUD + "# another day\n")
    outcome = invoke("run", "quick", "--n-trials", "2", *words)
    assert (outcome.code, outcome.out) == (1, "")
    assert "the file of loud:loss has changed since the study was created" in outcome.err


def test_code_that_does_not_fit_is_refused_before_anything_is_written(invoke: Invoke) -> None:
    Path("loud.py").write_text("def loss(contexts):\n    return contexts.sum()\n")
    outcome = invoke("run", "quick", *TINY_ARGUMENTS, "--set", "diversity.loss=loud:loss")
    assert (outcome.code, outcome.out) == (1, "")
    assert "running_mean: (D,) tensor or None) that returns a scalar tensor" in outcome.err
    assert not Path("storage").exists()
