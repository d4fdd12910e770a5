"""docs/architecture.md says what the contracts say, and the pages name files that exist."""

import configparser
import re
from pathlib import Path

import pytest
from support import REPOSITORY

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
# A page that tells of times when files had other names.
PAGES.remove(REPOSITORY / "docs" / "changelog.md")


def layers(contract: str) -> list[list[str]]:
    """The layers of a contract of import-linter, highest first; siblings together, sorted."""
    config = configparser.ConfigParser()
    config.read(REPOSITORY / "setup.cfg")
    lines = config[f"importlinter:contract:{contract}"]["layers"].split("\n")
    return [sorted(re.findall(r"\w+$|\w+(?= \|)", line)) for line in lines if line]


@pytest.mark.parametrize(("contract", "first"), [("layers", "cli → "), ("store", "store: ")])
def test_the_page_has_the_order_of_the_contracts(contract: str, first: str) -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text().splitlines()
    [line] = [line for line in page if line.startswith(first)]
    rooms = line.removeprefix("store: ").split(" → ")
    assert [sorted(room.split(" | ")) for room in rooms] == layers(contract)


def test_every_folder_of_the_package_is_in_the_tree() -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text()
    tree = page.split("```")[1]
    folders = [path.parent.name for path in (REPOSITORY / "cvfp_opt").glob("*/__init__.py")]
    folders += [path.parent.name for path in (REPOSITORY / "cvfp_opt").glob("store/*/__init__.py")]
    assert [name for name in folders if f"─ {name}/" not in tree] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_files_that_exist(page: Path) -> None:
    text = page.read_text()
    named = re.findall(r"`([\w./-]+/[\w-]+\.(?:py|toml|md|sh|yaml))`", text)
    named += [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    places = (REPOSITORY, REPOSITORY / "docs", REPOSITORY / "cvfp_opt", page.parent)
    assert [one for one in named if not any((place / one).exists() for place in places)] == []
