"""``report``, ``plot`` and ``compare`` as they are typed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support import Outcome

from cvfp_opt.cli.report import KINDS
from cvfp_opt.report import chromium as browser
from cvfp_opt.report.figures import kinds

Invoke = Callable[..., Outcome]


def test_the_names_of_figures_are_all_of_them() -> None:
    assert tuple(kinds.KINDS) == KINDS


def test_a_finished_study_in_one_command(run_tiny: Invoke, invoke: Invoke) -> None:
    run_tiny("--n-trials", "3")
    run_tiny("--n-trials", "1", "--study-name", "other", "--seed", "1")
    outcome = invoke("report", "quick", "--compare", "other", "--data", "data")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == "the report is in report.html\nits numbers are in data\n"
    page = Path("report.html").read_text()
    assert "quick beside other" in page
    assert "cvfp-opt run --study-name quick --n-trials +10" in page
    assert "cvfp-opt report -o report.html --compare other --data data quick" in page
    assert json.loads(Path("data/report.json").read_text())["study_name"] == "quick"
    assert "add --study-name" in invoke("report").err

    outcome = invoke("plot", "quick", "--kind", "history", "-o", "x.html")
    assert outcome.code == 0
    assert "the picture is in x.html" in outcome.out
    figure = Path("x.html").read_text()
    for words in ("best so far", "Score of each trial", "Study quick", "prefers-color-scheme"):
        assert words in figure
    assert len(figure) < 2_200_000
    said = outcome.out.removesuffix("the picture is in x.html\n")

    outcome = invoke("plot", "quick", "--kind", "history")
    assert outcome.code == 0
    header, *rows = outcome.out.removesuffix(f"\n{said}").splitlines()
    assert header.split()[:2] == ["trial", "state"]
    assert [row.split()[0] for row in rows] == ["0", "1", "2"]

    outcome = invoke("compare", "quick", "other")
    assert outcome.code == 0
    assert "search.seed" in outcome.out
    found = json.loads(invoke("compare", "quick", "other", "--json").out)
    assert found["sentence"] == outcome.out.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["plot", "--kind", "pie", "-o", "x.html"], 2, "unknown name 'pie'"),
        (["plot", "--kind", "pareto", "-o", "x.pdf"], 1, "ends in .html, .svg, .png"),
        (["plot", "--kind", "pareto", "-o", "x.svg"], 1, "apt-get install chromium"),
        (["report", "-o", "nowhere/x.html"], 1, "nowhere/x.html: cannot be written"),
        (["report", "gone"], 1, "there is no study 'gone'"),
        (["compare", "quick", "gone"], 1, "there is no study 'gone'"),
    ],
)
def test_what_cannot_be_done_is_said(
    words: list[str],
    code: int,
    message: str,
    run_tiny: Invoke,
    invoke: Invoke,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_tiny("--n-trials", "1")
    monkeypatch.setattr(browser, "find_chromium", lambda: None)
    outcome = invoke(*words)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.err


@pytest.mark.parametrize(
    "words",
    [
        ("report", "quick", "-o", "r.html", "--data", ""),
        ("report", "quick", "-o", " "),
        ("plot", "history", "-o", ""),
        ("best", "--save", ""),
        ("train", "quick", "--save", ""),
        ("study", "export", "quick", "-o", ""),
        ("study", "import", ""),
        ("study", "publish", "quick", ""),
    ],
)
def test_an_empty_path_is_not_the_current_folder(
    words: tuple[str, ...], invoke: Callable[..., Outcome]
) -> None:
    outcome = invoke(*words)
    assert outcome.code == 2
    assert "a path is required, got an empty one" in outcome.err
    assert list(Path().iterdir()) == []


def test_a_stream_is_no_file(invoke: Invoke) -> None:
    outcome = invoke("report", "quick", "-o", "-")
    assert outcome.code == 2
    assert "a path is required, got -, which is no standard stream here; type ./-" in outcome.err
    assert not Path("-").exists()
