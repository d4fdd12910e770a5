"""One table, as a terminal, Markdown, CSV and JSON have it."""

from cvfp_opt.report.aligned import text_lines
from cvfp_opt.report.rows import Rows, markdown_table, to_csv, to_records
from cvfp_opt.report.words import share

TABLE = Rows(
    columns=("what", "rate", "score"),
    rows=(("a|b", 0.5, 0.123456), ("=c", None, 3)),
    formats={"rate": share},
)


def test_people_read_formatted_figures() -> None:
    assert TABLE.words() == (("a|b", "50.0%", "0.1235"), ("=c", "-", "3"))
    assert TABLE.numeric == (False, True, True)


def test_lines_of_text_stand_below_each_other() -> None:
    heading, first, second = text_lines(TABLE)
    assert heading.split() == ["what", "rate", "score"]
    assert {len(heading), len(first), len(second)} == {56}


def test_markdown_shows_cells_as_they_are() -> None:
    assert markdown_table(TABLE) == [
        "| what | rate | score |",
        "|---|---|---|",
        r"| a\|b | 50\.0% | 0\.1235 |",
        r"| =c | \- | 3 |",
    ]


def test_programs_read_all_digits_and_no_formula() -> None:
    assert to_csv(TABLE.columns, TABLE.rows) == "what,rate,score\na|b,0.5,0.123456\n'=c,,3\n"
    assert to_records(TABLE)[1] == {"what": "=c", "rate": None, "score": 3}
