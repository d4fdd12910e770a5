"""Every test is in one stage of ``.ci/run``, or slow; README's command is the first stage."""

import configparser
import itertools
import re
import shlex

import pytest
from support import REPOSITORY

MARKERS = ("processes", "slow")
STAGES = [
    line
    for line in (REPOSITORY / ".ci" / "run").read_text().splitlines()
    if re.match(r"(pip install .* && )?pytest\b", line)
]


def settings() -> configparser.SectionProxy:
    parser = configparser.ConfigParser()
    parser.read(REPOSITORY / "setup.cfg")
    return parser["tool:pytest"]


def selected(stage: str, marks: dict[str, bool]) -> bool:
    """Check whether a command runs tests that are marked so; its last ``-m`` counts."""
    words = shlex.split(settings()["addopts"]) + shlex.split(stage.split("&&")[-1])
    expression = words[len(words) - words[::-1].index("-m")]
    return bool(eval(expression, {}, marks))  # of and, or, not and names, as pytest reads it


@pytest.mark.parametrize(
    "marks",
    [dict(zip(MARKERS, on, strict=True)) for on in itertools.product([False, True], repeat=2)],
)
def test_each_test_that_is_not_slow_is_in_one_stage(marks: dict[str, bool]) -> None:
    assert sum(selected(stage, marks) for stage in STAGES) == (0 if marks["slow"] else 1)


def test_no_stage_leaves_tests_out_by_anything_but_marks() -> None:
    assert [stage.split("&&")[-1].split("-m")[0].strip() for stage in STAGES] == ["pytest"] * 2
    assert STAGES[0] in (REPOSITORY / "README.md").read_text()


def test_there_are_no_other_marks() -> None:
    named = [line.split(":")[0] for line in settings()["markers"].strip().splitlines()]
    assert named == list(MARKERS)
