"""docs/glossary.md explains every head of a column and every label of a figure."""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import known_studies
import pytest
from rich.table import Table
from support import REPOSITORY, TINY_ARGUMENTS, Outcome

from cvfp_opt.report.trial_columns import ENDED, trial_columns
from cvfp_opt.training.result import Status

FEW_RUNS = ("--top", "1", "--seeds", "2", "--n-jobs", "1", "--threads", "1")
FIXED = [
    word
    for setting in (
        "dist_reg_weight=0.5",
        "phase1_learning_rate=0.002",
        "phase1_convergence_threshold=0.5",
        "layernorm_mix=1.0",
    )
    for word in ("--set", f"space.{setting}")
]


def glossary() -> set[str]:
    """All terms of the first columns."""
    text = (REPOSITORY / "docs" / "glossary.md").read_text()
    cells = re.findall(r"^\| (.+?) \|", text, flags=re.MULTILINE)
    return {term for cell in cells for _, term in re.findall(r"(\*\*|`)(.+?)\1", cell)}


class _Heads(HTMLParser):
    """The heads of columns, and the labels of figures, of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self._inside = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._inside = tag == "th"

    def handle_endtag(self, tag: str) -> None:
        self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.found.add(data)


@pytest.fixture
def heads(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The heads of all tables that a terminal is shown from now on."""
    seen: set[str] = set()
    add_column = Table.add_column

    def spy(self: Table, header: object = "", *words: object, **options: object) -> None:
        seen.add(str(header))
        add_column(self, header, *words, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Table, "add_column", spy)
    return seen


def unknown(heads: Iterable[str], names: Iterable[str]) -> list[str]:
    """Heads that the glossary lacks; ``names`` are those of studies and parameters.

    ``trial 2: absolute`` is ``absolute`` of a trial, ``frozen: seen`` a term of its own.
    """
    known = glossary() | set(names) | {""}
    found = []
    for head in heads:
        plain = re.sub(r"\btrial \d+", "trial N", head).removeprefix("trial N: ")
        parts = plain.split(": ")
        if plain not in known and not (len(parts) > 1 and all(part in known for part in parts)):
            found.append(head)
    return sorted(found)


def labels(text: str) -> Iterator[str]:
    """The labels of indented lines: ``  label    figure``."""
    for line in text.splitlines():
        if found := re.match(r"  (\S.*?)  +\S", line):
            yield found[1]


def test_every_head_of_a_search_is_in_the_glossary(
    heads: set[str], invoke: Callable[..., Outcome], run_tiny: Callable[..., Outcome]
) -> None:
    run_tiny("--n-trials", "2")
    run_tiny("--n-trials", "1", "--study-name", "other")
    assert invoke("confirm", "--study-name", "quick", *FEW_RUNS).code == 0
    for words in (
        ("list",),
        ("status", "--study-name", "quick"),
        ("best", "--study-name", "quick", "--combiners"),
        ("trial", "show", "0", "--study-name", "quick"),
        ("thresholds", "--study-name", "quick"),
        ("compare", "quick", "other"),
    ):
        assert invoke(*words).code == 0
    page = ("report", "quick", "--compare", "other", "-o", "page.html", "--data", "numbers")
    assert invoke(*page).code == 0
    html = _Heads()
    html.feed(Path("page.html").read_text().split("<script")[0])
    heads |= html.found
    for file in Path("numbers").glob("*.csv"):
        heads |= set(next(csv.reader(file.read_text().splitlines())))
    best = json.loads(invoke("best", "--study-name", "quick", "--json").out)
    assert unknown(heads, [*best["params"], "quick", "other"]) == []


def test_every_head_of_a_single_run_is_in_the_glossary(
    heads: set[str], invoke: Callable[..., Outcome]
) -> None:
    tiny = [*TINY_ARGUMENTS, "--threads", "1"]
    trained = invoke("train", "quick", *tiny, *FIXED, "--save", "net")
    assert trained.code == 0, trained.err
    first = next(line for line in trained.out.splitlines() if line.strip().startswith("pass "))
    heads |= set(first.split("  ")) | set(labels(trained.out))
    invoke("verify", "quick", "net")
    assert invoke("thresholds", "net", "--downstream", "--threads", "1").code == 0
    heads = {head.strip() for head in heads}
    names = [setting.removeprefix("space.").partition("=")[0] for setting in FIXED[1::2]]
    assert unknown(heads, names) == []


def test_every_figure_that_is_compared_has_a_term_of_the_glossary(
    invoke: Callable[..., Outcome], run_tiny: Callable[..., Outcome]
) -> None:
    run_tiny("--n-trials", "1")
    compared = json.loads(invoke("compare", "quick", "quick", "--json").out)
    terms = glossary()
    shown = [row[0] for row in compared["figures"]]
    assert [one for one in shown if not any(term in one for term in terms)] == []


def test_every_head_of_a_list_of_trials_is_in_the_glossary() -> None:
    ours = known_studies.summary(known_studies.study("known/confirm"))
    studies = replace(ours, confirms="known"), known_studies.two_objectives(), ours
    heads = {column.heading for one in studies for column in trial_columns(one)}
    assert heads | set(ENDED) <= glossary()


def test_every_status_of_a_run_is_in_the_glossary() -> None:
    assert {status.value for status in Status} <= glossary()
