"""The reference pages are those that docs/reference/make.py makes, and what they say is true."""

import math
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import click
import pytest
from support import REPOSITORY, load_script

import cvfp_opt
from cvfp_opt.errors import CvfpOptError, DefinitionError
from cvfp_opt.training.config import Hyperparameters
from cvfp_opt.tuning.definition import StudyDefinition
from cvfp_opt.tuning.space import LIMITS, SearchSpace

SCRIPTS = REPOSITORY / "docs" / "reference"
# Keys whose ends are possible only with another key's value beside them.
BESIDE: dict[str, dict[str, Any]] = {
    "objective.convergence_weight": {"effective_rank_weight": lambda weight: 1 - weight},
    "objective.effective_rank_weight": {"convergence_weight": lambda weight: 1 - weight},
    "data.validation_fraction": {"train_tokens": lambda share: 10**12},
}
INTERVAL = re.compile(r"in ([\[(])(.+), (.+)([\])])")


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The script that makes the pages, with the modules beside it."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    yield load_script("docs/reference/make.py")
    for path in SCRIPTS.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.mark.parametrize("name", ["cli.md", "configuration.md", "api.md"])
def test_a_page_is_what_is_made(name: str, make: ModuleType) -> None:
    stale = f"docs/{name} is stale: type `python docs/reference/make.py`"
    assert make.PAGES[name]() == (REPOSITORY / "docs" / name).read_text(), stale


def test_the_pages_do_not_depend_on_the_terminal(
    make: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    assert make.cli_page.page() == (REPOSITORY / "docs" / "cli.md").read_text()


def test_every_option_is_in_the_section_of_its_command(make: ModuleType) -> None:
    missing = [
        f"{name} {one.opts[0]}"
        for name, command in make.cli_page.walk(make.cli_page.cli)
        for one in command.params
        if isinstance(one, click.Option)
        and not one.hidden
        and f"| `{one.opts[0]}" not in make.cli_page.section(name, command)
    ]
    assert missing == []


def test_every_key_has_the_release_in_which_it_appeared(make: ModuleType) -> None:
    releases = make.configuration_page.since()
    keys = {f"{name}.{key}" for name, s in StudyDefinition().to_dict().items() for key in s}
    assert releases.keys() == keys, "docs/reference/since.toml"
    changelog = (REPOSITORY / "docs" / "changelog.md").read_text()
    there = {*re.findall(r"^## (\d\S+)$", changelog, flags=re.MULTILINE), "unreleased"}
    assert set(releases.values()) <= there


def ranges() -> Iterator[tuple[str, type, str]]:
    """Each key of a section, with its class, and its range as the docstring has it."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        from page_text import attributes
    finally:
        sys.path.remove(str(SCRIPTS))
    for name, kind in get_type_hints(StudyDefinition).items():
        described = Hyperparameters if kind is SearchSpace else kind
        said = attributes(described.__doc__ or "")
        for key in LIMITS if kind is SearchSpace else [one.name for one in fields(kind)]:
            yield f"{name}.{key}", kind, said[key].partition(" Range: ")[2].removesuffix(".")


def accepted(key: str, kind: type, value: Any) -> bool:
    name = key.partition(".")[2]
    beside = {other: found(value) for other, found in BESIDE.get(key, {}).items()}
    try:
        kind(**{name: value}, **beside)
    except DefinitionError:
        return False
    return True


def ends(key: str, limits: str) -> list[tuple[float, bool]]:
    """Values at both ends of a range and beyond, each with whether it is in the range."""
    whole = isinstance(StudyDefinition().to_dict()[key.split(".")[0]].get(key.split(".")[1]), int)
    step = 1 if whole else 1e-9
    if found := re.search(r"at least (\d+)$", limits):
        least = int(found[1])
        return [(least, True), (least - 1, False)]
    if "positive" in limits:
        return [(1e-300, True), (0.0, False), (-1.0, False), (math.inf, False)]
    if found := INTERVAL.search(limits):
        low, high = (eval(end.replace("^", "**")) for end in found.group(2, 3))
        at = [(low, found[1] == "["), (high, found[4] == "]")]
        return [*at, (low + step, True), (high - step, True), (low - 1, False), (high + 1, False)]
    return []


@pytest.mark.parametrize(("key", "kind", "limits"), list(ranges()), ids=lambda one: str(one))
def test_a_key_has_the_range_that_its_docstring_says(
    key: str, kind: type, limits: str, make: ModuleType
) -> None:
    assert limits, f"{key}: its description ends with `Range: ...`"
    for value, inside in ends(key, limits):
        given = (value,) if limits.startswith("each") else value
        assert accepted(key, kind, given) is inside, (key, value)
    if found := re.match("one of ([A-Z_]+)", limits):
        names = make.configuration_page.names(found[1], kind)
        with pytest.raises(DefinitionError):
            StudyDefinition.from_dict({key.split(".")[0]: {key.split(".")[1]: "nonsense"}})
        assert StudyDefinition().to_dict()[key.split(".")[0]][key.split(".")[1]] in names


def test_every_definition_that_the_page_shows_can_be_read() -> None:
    page = (REPOSITORY / "docs" / "configuration.md").read_text()
    shown = re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)
    assert len(shown) == 2
    for text in shown:
        StudyDefinition.from_dict(tomllib.loads(text))


class Sample:
    """Stand for what the interface offers.

    Attributes:
        size: how many.
    """

    size: int

    @property
    def name(self) -> str:
        """Give its name."""
        return ""

    def more(self, number: int, *, quickly: bool = False) -> "list[Sample]":
        """Give further ones.

        Args:
            number: at least 1.
            quickly: whether to hurry.

        Returns:
            as many as asked for.

        Raises:
            CvfpOptError: there are none.

        Example:
            >>> Sample().more(2)
            []
        """
        return []

    def _hidden(self) -> None:
        """Do what nobody is told of."""


def test_a_class_is_described_with_its_members(
    make: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    import griffe

    module = griffe.visit("sample", Path(__file__), Path(__file__).read_text())
    sample = module["Sample"]
    page = "\n\n".join(make.api_page.describe("Sample", sample))
    assert page.startswith("## Sample\n\nStand for what the interface offers.")
    assert "| `size` | How many. |" in page
    assert "| `name` | `str` | Give its name. |" in page
    assert "more(number: int, *, quickly: bool = False) -> list[Sample]" in page
    assert "| `CvfpOptError` | There are none. |" in page
    assert "```pycon\n>>> Sample().more(2)\n[]\n```" in page
    assert "hidden" not in page


def test_a_name_is_found_where_it_is_defined(
    make: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cvfp_opt, "CvfpOptError", CvfpOptError, raising=False)
    monkeypatch.setattr(cvfp_opt, "__all__", ["CvfpOptError"], raising=False)
    page = make.api_page.page()
    assert "## CvfpOptError\n\nBase of all expected errors" in page
