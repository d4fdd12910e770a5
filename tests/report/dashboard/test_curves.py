"""A trial's curves as a picture and a table."""

import csv
import io
from xml.etree import ElementTree

import known_studies
import pytest
from known_studies import EVIL

from cvfp_opt.report.dashboard.curves import curves_csv, curves_svg, files_of
from cvfp_opt.store.record.records import TrialRecord

SVG = "{http://www.w3.org/2000/svg}"


def trial(*steps: dict[str, float | None]) -> TrialRecord:
    return TrialRecord(number=3, state="complete", iterations=list(steps))


def titles(text: str) -> list[str]:
    root = ElementTree.fromstring(text)
    return [one.text or "" for one in root.iter(f"{SVG}text") if ", last " in (one.text or "")]


def test_a_panel_for_each_quantity_with_its_last_figure() -> None:
    known = known_studies.small().trial(1)
    assert titles(curves_svg(known)) == [
        "convergence, last 98.0%",
        "effective rank / D, last 90.0%",
        "diversity weight, last 0.8",
    ]


def test_lines_rise_with_the_rate_and_stop_where_there_is_no_figure() -> None:
    steps = [
        {"iteration": k, "convergence_rate": rate} for k, rate in enumerate((0, 0.5, None, 1))
    ]
    root = ElementTree.fromstring(curves_svg(trial(*steps)))
    [line] = [one.get("d") or "" for one in root.iter(f"{SVG}path") if one.get("fill") == "none"]
    assert line.count("M") == 2
    heights = [float(one.get("cy") or "nan") for one in root.iter(f"{SVG}circle")]
    assert heights[0] > heights[1] > heights[2]
    assert heights[0] - heights[1] == heights[1] - heights[2]


def test_what_stays_the_same_is_a_line_in_the_middle() -> None:
    text = curves_svg(trial({"iteration": 0, "weight": 0.5}, {"iteration": 1, "weight": 0.5}))
    heights = {one.get("cy") for one in ElementTree.fromstring(text).iter(f"{SVG}circle")}
    assert len(heights) == 1


def test_a_long_run_is_a_short_picture_to_its_end() -> None:
    steps = [{"iteration": k, "convergence_rate": k / 9999} for k in range(10_000)]
    text = curves_svg(trial(*steps))
    assert len(text) < 20_000
    assert "pass 10000" in text
    assert len(curves_csv(trial(*steps)).splitlines()) == 10_001


def test_the_table_has_all_that_was_said() -> None:
    text = curves_csv(trial({"iteration": 0, "weight": 0.1}, {"iteration": 1, "residual": None}))
    assert list(csv.DictReader(io.StringIO(text))) == [
        {"iteration": "0", "weight": "0.1", "residual": ""},
        {"iteration": "1", "weight": "", "residual": ""},
    ]


@pytest.mark.parametrize("name", known_studies.STUDIES)
def test_any_trial_has_a_whole_picture_or_none(name: str) -> None:
    for one in known_studies.STUDIES[name]().trials[:20]:
        for file in files_of(one):
            assert file.text
            assert EVIL not in file.text
            if file.name.endswith(".svg"):
                ElementTree.fromstring(file.text)
                assert "nan" not in file.text
                assert "inf" not in file.text.replace("from pass", "")


def test_a_trial_that_left_nothing_has_no_files() -> None:
    assert files_of(trial()) == []
    assert curves_svg(trial({"iteration": 0, "convergence_rate": float("nan")})) == ""
