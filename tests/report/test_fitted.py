"""Lines and tables of any width: whole words, whole figures, the important ones first."""

import io
import re
import shlex

import pytest
from rich.cells import cell_len
from rich.console import Console

from cvfp_opt.report.bars import Bar, Bars
from cvfp_opt.report.fitted import Part, fitting_parts, typed, wrapped
from cvfp_opt.report.tables import terminal_table

COMMAND = "cvfp-opt run --study-name 'my first study' --storage some/folder/x.db --n-trials +10"


def drawn(renderable: object, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_a_line_goes_on_below_the_text_of_its_label() -> None:
    assert wrapped("time    one two three four", 18) == ["time    one two", "        three four"]
    assert wrapped("one two three four", 9) == ["one two", "  three", "  four"]
    assert wrapped("one two", None) == wrapped("one two", 7) == ["one two"]
    assert wrapped("", 5) == [""]


def test_a_long_word_stands_below_its_label_where_it_has_room_there() -> None:
    assert wrapped("  digest    1234567890abcdef", 24) == ["  digest", "    1234567890abcdef"]
    assert wrapped("  digest    12345678 abcdef", 24) == [
        "  digest    12345678",
        "            abcdef",
    ]


def test_a_word_stays_whole_and_a_wide_character_takes_two_cells() -> None:
    assert wrapped("a verylongword", 6) == ["a", "  verylongword"]
    lines = wrapped("汉字 汉字 汉字", 9)
    assert [cell_len(line) for line in lines] == [9, 6]


def test_a_command_in_a_sentence_is_one_word() -> None:
    line = "say it; type `cvfp-opt run --n-trials +10`, or 'as it was' or nothing"
    assert wrapped(line, 46) == [
        "say it; type `cvfp-opt run --n-trials +10`, or",
        "  'as it was' or nothing",
    ]
    assert wrapped(line, 40)[:2] == ["say it; type", "  `cvfp-opt run --n-trials +10`, or"]
    # an apostrophe, and a mark that nothing closes, are no quotations
    assert wrapped("the worker's and the users' own `words", 12) == [
        "the worker's",
        "  and the",
        "  users' own",
        "  `words",
    ]


def test_a_command_longer_than_a_line_goes_on_after_a_backslash() -> None:
    longest = len("  --study-name 'my first study' \\")  # of what stays whole
    for width in range(16, 120):
        lines = wrapped(f"nobody is there; to delete it all, type `{COMMAND}`, and wait", width)
        found = re.search(r"`([^`]+)`", "\n".join(lines))
        assert found is not None
        assert shlex.split(found[1].replace("\\\n", "")) == shlex.split(COMMAND)
        assert all(cell_len(line) <= max(width, longest) for line in lines), lines


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_command_can_be_copied_from_any_terminal(width: int) -> None:
    lines = typed("ten trials more:", COMMAND, width, room=21)
    text = "\n".join(lines).removeprefix("ten trials more:")
    assert shlex.split(text.replace("\\\n", "")) == shlex.split(COMMAND)
    assert all(cell_len(line) <= width for line in lines)
    if width == 40:
        assert any("--n-trials +10" in line for line in lines)  # a value stays with its option


def test_parts_of_least_importance_are_left_out() -> None:
    parts = [Part("head", 9), Part("middle", 1), Part("tail", 5)]
    assert fitting_parts(parts, None) == "head  middle  tail"
    assert fitting_parts(parts, 12) == "head  tail"
    assert fitting_parts(parts, 2) == "head"
    # what is shorter does not take the place of what is more important
    assert fitting_parts([*parts[:2], Part("long tail", 5)], 12) == "head"


def test_columns_are_left_out_by_importance_and_then_rows_are_stacked() -> None:
    table = terminal_table(
        ("point", "long heading", "verdict"),
        [("trial 1", "0.5", "better than it was")],
        left=(0, 2),
        wrap=(2,),
        least=(1,),
    )
    assert drawn(table, 60)[0].split() == ["point", "long", "heading", "verdict"]
    assert drawn(table, 40)[0].split() == ["long"]
    without = drawn(table, 22)
    assert without[0].split() == ["point", "verdict"]
    assert " ".join(without[-2:]).split() == ["no", "room", "for", "long", "heading"]
    stacked = drawn(table, 13)
    assert stacked[0] == "point   trial"
    assert "0.5" in " ".join(stacked)


def test_bars_are_one_line_each_and_no_more_than_have_room() -> None:
    bars = [
        Bar(label=f"trial {n}", done=n, total=9, parts=[Part("x" * 20, 2), Part("y" * 20, 1)])
        for n in range(6)
    ]
    for width in (40, 60, 80, 100, 120):
        lines = drawn(Bars(bars=bars, height=4), width)
        assert len(lines) == 4
        assert lines[-1] == "and 3 more"
        assert all(cell_len(line) <= width for line in lines)
        assert ("y" in lines[0]) == (width >= 60)
