"""A table as makers of data frames take it, and as it is shown."""

import pickle
from html.parser import HTMLParser
from typing import Any

import pytest
from known_studies import EVIL, STUDIES, small

from cvfp_opt.report.column_table import Table, html_table
from cvfp_opt.report.rows import Rows
from cvfp_opt.report.trial_list import trial_rows


@pytest.mark.parametrize("name", [name for name in STUDIES if name != "1000 trials"])
@pytest.mark.parametrize("package", ["pandas", "polars"])
def test_data_frames_take_it_as_it_is(package: str, name: str) -> None:
    frames = pytest.importorskip(package)
    rows = trial_rows(STUDIES[name]())
    frame = frames.DataFrame(Table.of(rows))
    assert frame.shape == (len(rows.rows), len(rows.columns))
    assert tuple(frame.columns) == rows.columns


def test_it_is_a_dictionary_of_equal_lists() -> None:
    table = Table.of(trial_rows(small()))
    assert table["trial"] == [0, 1, 2, 3, 4, 5, 6]
    assert {len(column) for column in table.values()} == {7} == {table.num_rows}
    again = pickle.loads(pickle.dumps(table))
    assert (type(again), again) == (Table, table)


def test_it_is_shown_by_its_first_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    table = Table(trial=list(range(12)), score=[0.123456, None] * 6, note=["x" * 50] * 12)
    lines = repr(table).splitlines()
    assert lines[:3] == ["trial   score", "    0  0.1235", "    1       -"]
    assert len(lines) == 12
    assert lines[-1] == "12 rows, 3 columns; the first 10; not shown: note"
    assert repr(Table(trial=[1])) == "trial\n    1\n1 row, 1 column"
    assert repr(Table(trial=[], score=[])) == "trial  score\n0 rows, 2 columns"
    assert repr(Table()) == "0 rows, 0 columns"


def test_the_example_of_its_docstring() -> None:
    lines = (Table.__doc__ or "").partition(">>> ")[2].splitlines()
    shown = repr(eval(lines[0], {"Table": Table}))
    assert [line.strip() for line in shown.splitlines()] == [
        line.strip() for line in lines[1:] if line.strip()
    ]


def test_it_can_be_shown_whatever_was_put_into_it() -> None:
    table = Table(a=[1, object()], b=["x"])
    assert "2 rows" in repr(table)
    assert "2 rows" in table._repr_html_()


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_is_a_table_and_text() -> None:
    rows = Rows(columns=("a", EVIL), rows=((EVIL, 0.5), ("\x1b[2J&", None)))
    for html in (html_table(rows, EVIL), Table.of(rows)._repr_html_()):
        read = _Tags()
        read.feed(html)
        assert read.tags == {"table", "caption", "thead", "tbody", "tr", "th", "td"}
        assert EVIL in read.text
        assert "\x1b" not in html
        assert r"\x1b[2J&" in read.text
