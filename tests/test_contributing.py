"""What docs/contributing.md promises of hooks and versions; CITATION.cff is of this version."""

import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from support import REPOSITORY

from cvfp_opt.version import __version__

CI = (REPOSITORY / ".ci" / "run").read_text()


def hooks() -> list[dict[str, object]]:
    config = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())
    return [hook for repository in config["repos"] for hook in repository["hooks"]]


def requirements(*, test: bool) -> dict[str, Requirement]:
    """What setup.cfg asks for, by name; torch aside."""
    setup = ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    extras = setup["options.extras_require"]
    texts = [text for name, text in extras.items() if test or name != "test"]
    lines = "\n".join([setup["options"]["install_requires"], *texts]).split()
    found = {canonicalize_name(one.name): one for one in map(Requirement, lines)}
    del found["torch"]
    return found


def pins(text: str) -> dict[str, str]:
    """The exact versions in a file of constraints, by name."""
    names_and_versions = re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE)
    assert len(names_and_versions) == len(text.splitlines())
    return {canonicalize_name(name): version for name, version in names_and_versions}


@pytest.mark.parametrize("hook", hooks(), ids=lambda hook: str(hook["id"]))
def test_a_hook_runs_an_installed_linter_of_ours(hook: dict[str, object]) -> None:
    command = str(hook["entry"]).split(" --")[0]
    assert shutil.which(command.split()[0], path=Path(sys.executable).parent)
    assert re.search(rf"^{command}( |$)", CI, re.MULTILINE), ".ci/run does the same"
    assert hook["language"] == "system", "nothing is downloaded"


def test_every_requirement_is_pinned_within_its_range() -> None:
    pinned = pins((REPOSITORY / "constraints.txt").read_text())
    assert "torch" not in pinned
    outside = {
        name: pinned.get(name)
        for name, requirement in requirements(test=True).items()
        if name not in pinned or not requirement.specifier.contains(pinned[name])
    }
    assert outside == {}


def test_the_lowest_versions_are_those_of_the_ranges() -> None:
    script = [sys.executable, str(REPOSITORY / ".ci" / "lowest.py")]
    printed = subprocess.run(script, check=True, capture_output=True, text=True).stdout
    lowest = pins(printed)
    asked = requirements(test=False)
    assert lowest.keys() == asked.keys()
    for name, version in lowest.items():
        assert version in [one.version for one in asked[name].specifier if one.operator == ">="]


def test_the_citation_is_of_this_version_under_its_licence() -> None:
    cited = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    setup = ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    assert cited["version"] == __version__
    assert cited["license"] == setup["metadata"]["license"]
    assert cited["title"].startswith(f"{setup['metadata']['name']}: ")
    copyright_line = (REPOSITORY / "LICENSE").read_text().splitlines()[2]
    assert copyright_line.endswith(cited["authors"][0]["name"])


@pytest.mark.parametrize("package", ["optuna", "optuna-dashboard"])
def test_packages_whose_private_names_we_use_stay_within_a_minor_version(package: str) -> None:
    specifier = requirements(test=False)[package].specifier
    (lowest,) = (one.version for one in specifier if one.operator == ">=")
    (limit,) = (one.version for one in specifier if one.operator == "<")
    major, minor = (int(part) for part in lowest.split(".")[:2])
    assert limit == f"{major}.{minor + 1}"


def test_what_the_last_stages_run_is_there() -> None:
    paths = re.findall(r"\btests/[\w./]+", CI)
    assert paths
    assert [path for path in paths if not (REPOSITORY / path).exists()] == []
