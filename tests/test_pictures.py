"""The script that makes the pictures of the pages: what it types is understood."""

import ast
import shlex
from pathlib import Path

import pages
import pytest
from support import REPOSITORY

PICTURES = Path(REPOSITORY) / "docs" / "pictures"


def constant(name: str) -> dict[str, list[str]]:
    """A constant of the script, which cannot be imported without a browser's driver."""
    tree = ast.parse((PICTURES / "make.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == name:
            assert node.value is not None
            found: dict[str, list[str]] = ast.literal_eval(node.value)
            return found
    raise AssertionError(f"no {name} in it")


def test_every_picture_is_made_by_it() -> None:
    made = constant("COMMANDS")
    assert {path.name for path in PICTURES.iterdir()} - {"make.py", "__pycache__"} == set(made)
    assert constant("NEEDS").keys() == made.keys()


@pytest.mark.parametrize(
    "command", [one for typed in constant("COMMANDS").values() for one in typed]
)
def test_what_it_types_is_understood(command: str) -> None:
    assert pages.refused(shlex.split(command)) == ""
