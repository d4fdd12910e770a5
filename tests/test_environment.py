"""docs/environment.md lists the variables that the source reads, and no others."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from support import REPOSITORY

from cvfp_opt.api.display.console import LOG_WIDTH
from cvfp_opt.store.database.location import ENVIRONMENT
from cvfp_opt.store.files.bug_log import FOLDER as LOGS
from cvfp_opt.store.files.snapshots import FOLDER as UNFINISHED

PAGE = (REPOSITORY / "docs" / "environment.md").read_text()
# Constants that one module has from another.
ELSEWHERE = {"ENVIRONMENT": ENVIRONMENT}
# Read by libraries, and named in messages of ours.
OF_LIBRARIES = r"\b(?:NUMBA|OMP|CUDA|HF|XDG|PG|AWS|DASK)_[A-Z0-9_]+\b|\bPGPASS[A-Z]+\b"


def table(heading: str) -> set[str]:
    """The variables of the first column of a table, which begins with this heading."""
    [rows] = re.findall(rf"^\| variable \| {heading}.*\n((?:\|.*\n)+)", PAGE, flags=re.MULTILINE)
    return {
        name for row in rows.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }


def modules() -> list[Path]:
    return sorted((REPOSITORY / "cvfp_opt").rglob("*.py"))


def read_in(tree: ast.Module) -> Iterator[str]:
    """The variables that a module reads, by ``os.environ``, ``os.getenv`` or an option."""
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        found: list[ast.expr] = []
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in ("os.environ.get", "os.getenv", "os.environ.setdefault", "os.environ.pop"):
                found = node.args[:1]
            found += [word.value for word in node.keywords if word.arg == "envvar"]
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
            found = [node.slice]
        for one in found:
            name = constants.get(one.id, one.id) if isinstance(one, ast.Name) else None
            yield str(one.value if isinstance(one, ast.Constant) else name or ast.unparse(one))


def test_the_variables_are_those_that_the_source_reads() -> None:
    found = {name for path in modules() for name in read_in(ast.parse(path.read_text()))}
    # of a loop over some that are put back; one that notify.toml names
    found -= {"name", "variable"}
    assert table("what it decides") == {ELSEWHERE.get(name, name) for name in found}


def test_the_variables_of_libraries_that_the_source_mentions_are_there() -> None:
    text = "\n".join(path.read_text() for path in modules())
    mentioned = set(re.findall(OF_LIBRARIES, text)) - table("what it decides")
    assert mentioned - table("read by") == set()


def test_the_scan_finds_each_way_to_read_a_variable() -> None:
    source = """
import os
NAME = "A"
os.environ.get(NAME); os.getenv("B"); os.environ["C"]; option(envvar="D"); os.environ.get("E", 1)
"""
    assert set(read_in(ast.parse(source))) == set("ABCDE")


def test_the_folders_and_the_width_are_those_of_the_code() -> None:
    assert f"`{LOGS}/bug-*.log`" in PAGE
    assert f"`{UNFINISHED}/*.safetensors`" in PAGE
    assert f"{LOG_WIDTH} columns" in PAGE
