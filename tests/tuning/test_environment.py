"""The environment of a trial: a commit is known in a git checkout, and only there."""

import subprocess
from pathlib import Path

import pytest
import torch

from cvfp_opt.tuning.environment import describe_checkout, describe_environment


def git(*words: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *identity, *words], check=True, capture_output=True)


@pytest.fixture
def package(isolated_folder: Path) -> Path:
    """A package, committed to a checkout."""
    folder = isolated_folder / "package"
    folder.mkdir()
    (folder / "__init__.py").touch()
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    describe_checkout.cache_clear()
    return folder


def test_a_clean_checkout_and_a_changed_one(package: Path) -> None:
    clean = describe_checkout(package)
    assert (len(clean["commit"]), clean["uncommitted"]) == (40, False)
    (package.parent / "elsewhere.txt").touch()
    describe_checkout.cache_clear()
    assert describe_checkout(package) == clean
    (package / "new.py").touch()
    describe_checkout.cache_clear()
    assert describe_checkout(package) == clean | {"uncommitted": True}


def test_what_a_hook_set_names_no_other_repository(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert "commit" in describe_checkout(package)


def test_an_environment_within_another_projects_checkout_is_none(package: Path) -> None:
    installed = package.parent / "venv" / "package"
    installed.mkdir(parents=True)
    (installed / "__init__.py").touch()
    assert describe_checkout(installed) == {}


def test_without_git_nothing_fails(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(package))
    assert describe_checkout(package) == {}


def test_on_the_processor_no_gpu_is_named() -> None:
    described = describe_environment(torch.device("cpu"), 3)
    assert (described["device"], described["threads"]) == ("cpu", 3)
    assert "gpu" not in described
