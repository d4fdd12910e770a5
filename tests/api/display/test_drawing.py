"""Bars below the lines that are printed: no line is lost, and no bar stays."""

import io
import re
import sys
import threading
from collections.abc import Iterator

import pytest
from rich.text import Text

from cvfp_opt.api.display import drawing
from cvfp_opt.api.display.console import PlainConsole, print_line
from cvfp_opt.api.display.drawing import Drawing

LINES = 400
# What a terminal is told: go up, erase the line, hide or show the cursor; or text.
TOLD = re.compile(r"\x1b\[(\d*)([A-Za-z])|\x1b\[\?25[hl]|(\r)|(\n)|([^\x1b\r\n]+)")


def screen(written: str) -> list[str]:
    """The lines that a terminal of any height shows in the end."""
    lines, row, column = [""], 0, 0
    for count, what, returned, fed, text in TOLD.findall(written):
        if returned:
            column = 0
        elif fed:
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif text:
            lines[row] = f"{lines[row][:column]:<{column}}{text}{lines[row][column + len(text) :]}"
            column += len(text)
        elif what == "A":
            row -= int(count or 1)
            assert row >= 0, "above all that was written"
        elif what == "K":
            lines[row] = ""
    return lines


class Shape:
    """Bars whose number changes all the time."""

    def __init__(self) -> None:
        self._drawn = 0

    def __call__(self) -> Text:
        self._drawn += 1
        return Text("\n".join(f"bar {n}" for n in range(1 + self._drawn % 5)))


@pytest.fixture
def _quick_threads() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_quick_threads")
def test_no_line_is_lost_and_no_bar_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "PER_SECOND", 20_000)
    file = io.StringIO()
    console = PlainConsole(file=file, force_terminal=True, width=80, height=24, color_system=None)

    def print_all(name: str) -> None:
        for n in range(LINES):
            print_line(console, f"{name} {n}")

    with Drawing(console, Shape()):
        threads = [threading.Thread(target=print_all, args=(name,)) for name in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    shown = [line for line in screen(file.getvalue()) if line]
    assert len(shown) == 2 * LINES
    for name in "ab":
        assert [line for line in shown if line[0] == name] == [f"{name} {n}" for n in range(LINES)]


def test_what_is_not_transient_stays_once() -> None:
    file = io.StringIO()
    console = PlainConsole(file=file, force_terminal=True, width=80, height=24, color_system=None)
    with Drawing(console, lambda: Text("as it is"), transient=False):
        print_line(console, "above")
    assert [line for line in screen(file.getvalue()) if line] == ["above", "as it is"]


def test_a_log_has_no_drawing() -> None:
    file = io.StringIO()
    console = PlainConsole(file=file, force_terminal=False, width=80)
    with Drawing(console, Shape()):
        print_line(console, "a line")
    assert file.getvalue() == "a line\n"
