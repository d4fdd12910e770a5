"""Reports of studies whose figures are known: whole, honest, and without anything that runs."""

import json
import re
from pathlib import Path

import pytest
from known_studies import EVIL, STUDIES, complete, confirmed, small, study, summary

from cvfp_opt.disk import write_file
from cvfp_opt.errors import ReportError
from cvfp_opt.report.compare import compare_studies
from cvfp_opt.report.page.content import content, data_tables
from cvfp_opt.report.page.render import render
from cvfp_opt.report.page.write import write_data, write_report

MEGABYTE = 2**20


@pytest.mark.parametrize("name", STUDIES)
def test_a_page_of_every_study(name: str) -> None:
    known = STUDIES[name]()
    page = render(content(known, other=compare_studies(known, small())), "today")
    assert len(page) < 6 * MEGABYTE
    assert page.count("<section") == page.count("</section")
    scripts = re.findall(r"<script[^>]*>", page)
    assert set(scripts) <= {
        "<script>",
        '<script type="application/json">',
        '<script type="application/octet-stream" id="plotly">',
    }
    assert scripts.count("<script>") == 1
    pictures = re.findall(r'<script type="application/json">(.*?)</script>', page)
    assert not any("<" in picture for picture in pictures)
    assert not re.search(r'(src|href)=(?!"#)', page.split('id="plotly"')[0])


def test_words_of_others_are_escaped_wherever_they_come() -> None:
    for known in (small(), STUDIES["foreign"]()):
        page = render(content(known), "today")
        assert EVIL not in page
        assert "&lt;script&gt;alert(1)" in page


def test_the_first_words_are_the_answer_and_the_audit() -> None:
    page = render(content(small()), "today")
    first = page[: page.index('id="search"')]
    assert (
        "With care: trial 1 beats the untrained net&#39;s 0.490 with 0.940, but the score" in first
    )
    assert '<span class="side">against</span> The score rests on its threshold' in first
    assert "original test 2" in first
    # a parameter's name is no word to begin with a capital
    made = study()
    made.add_trial(complete(0.0, 0.9, 0.9))
    winner = content(summary(made)).winner
    assert winner is not None
    assert (
        "note",
        "dist_reg_weight = 0.1 lies at the lower bound of its range.",
    ) in winner.observations


def test_the_first_words_say_whether_fresh_seeds_bear_it_out() -> None:
    page = render(content(confirmed(), " --storage x.db"), "today")
    first, rest = page[: page.index('id="search"')], page[page.index('id="confirmed"') :]
    line = "On 3 fresh seeds: trial 1 has score 0.940 (95 % interval 0.915 to 0.965), reported"
    assert f"<p>{line} 0.940: confirmed.</p>" in first
    assert "The winner, trial 1, is confirmed: reported 0.940" in rest
    assert "<td>worse than reported</td>" in rest
    page = render(content(small(), " --storage x.db"), "today")
    first = page[: page.index('id="search"')]
    assert "<p>Not confirmed yet: the best score is that of one run on one seed; type" in first
    assert "`cvfp-opt confirm --study-name known --storage x.db`.</p>" in first


def test_commands_name_study_and_database() -> None:
    made = study("it's mine")
    made.add_trial(complete(0.5, 0.9, 0.9))
    commands = dict(content(summary(made), " --storage x.db").commands)
    assert commands["ten trials more"] == (
        "cvfp-opt run --study-name 'it'\"'\"'s mine' --storage x.db --n-trials +10"
    )


def test_data_have_full_digits(tmp_path: Path) -> None:
    write_data(small(), tmp_path / "data" / "here")
    files = sorted(path.name for path in (tmp_path / "data" / "here").iterdir())
    assert files == sorted([*(f"{name}.csv" for name in data_tables(small())), "report.json"])
    found = json.loads((tmp_path / "data/here/report.json").read_text())
    assert found["answer"].startswith("With care: trial 1")
    assert found["tables"]["history"][1] == {
        "trial": 1,
        "state": "complete",
        "score": 0.94,
        "untrained net": 0.49,
        "best so far": 0.94,
    }
    assert found["confirmation"] is None
    write_data(confirmed(), tmp_path / "more")
    found = json.loads((tmp_path / "more/report.json").read_text())
    assert (found["confirmation"]["winner"], found["confirmation"]["done"]) == (1, 12)
    rows = (tmp_path / "more/confirmation.csv").read_text().splitlines()
    assert rows[0].startswith("point,reported,mean,low,high,seeds,diverged,against default")
    assert [row.partition(",")[0] for row in rows[1:]] == [
        "trial 1",
        "trial 3",
        "default point",
        "untrained net",
    ]
    assert rows[2].endswith("worse than reported")
    lines = (tmp_path / "data/here/endings.csv").read_text().splitlines()
    assert lines[1] == "2,pruned,1,pruned: pruned after pass 1"


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="cannot be written: No such file or directory"):
        write_report(small(), tmp_path / "nowhere" / "report.html", "")
    with pytest.raises(ReportError, match="a file is required, this is a folder"):
        write_file(tmp_path, "x", error=ReportError)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ReportError, match="cannot be made a folder"):
        write_data(small(), tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
