"""Tables as plain lines of text that fit a width: whole columns are left out, no cell is cut.

rich draws tables too, but takes 29 s for 10 000 rows of 12 columns, where this takes 1.3 s.
"""

from collections.abc import Iterable, Sequence

from rich.cells import cell_len

from cvfp_opt.escaping import printable
from cvfp_opt.report.rows import Rows

_GAP = 2


def fitting(rows: Rows, width: int, importance: Sequence[int]) -> list[int]:
    """Choose the columns that have room side by side, the most important ones first.

    Args:
        rows: as they will be written.
        width: of a line in cells of a terminal, of which a Chinese character takes two.
        importance: of each column; of equal ones the first comes first. The most important one is
            chosen whatever its width.

    Returns:
        Places of the columns, ascending.
    """
    words = rows.words()
    order = sorted(range(len(rows.columns)), key=lambda place: -importance[place])
    chosen: list[int] = []
    taken = 0
    for place in order:
        gap = _GAP if chosen else 0
        needed = gap + _width([rows.columns[place], *(row[place] for row in words)])
        if not chosen or taken + needed <= width:
            chosen.append(place)
            taken += needed
    return sorted(chosen)


def selected(rows: Rows, places: Sequence[int]) -> Rows:
    """Take some columns of a table."""
    return Rows(
        columns=tuple(rows.columns[place] for place in places),
        rows=tuple(tuple(row[place] for place in places) for row in rows.rows),
        formats=rows.formats,
    )


def aligned_lines(rows: Rows) -> list[str]:
    """Write a heading and the rows below each other: words stand to the left, figures right."""
    columns = []
    body = zip(*rows.words(), strict=True) if rows.rows else [()] * len(rows.columns)
    for heading, numeric, cells in zip(rows.columns, rows.numeric, body, strict=True):
        words = [printable(word) for word in (heading, *cells)]
        width = _width(words)
        pads = [" " * (width - _cells(word)) for word in words]
        columns.append(
            [pad + word if numeric else word + pad for word, pad in zip(words, pads, strict=True)]
        )
    return [(" " * _GAP).join(line).rstrip() for line in zip(*columns, strict=True)]


def text_lines(rows: Rows, width: int | None = None) -> list[str]:
    """Write a table as lines of text: a heading, then rows, whose figures stand to the right.

    Args:
        rows: of it, labels first.
        width: of a line; None for as much as it takes. Where there is little, the columns move
            together, and the first heading has a line of its own.
    """
    words = rows.words()
    room = 36
    widths = [max(10, len(name) + 2) for name in rows.columns[1:]]
    above: list[str] = []
    if width is not None and room + sum(widths) > width:
        cells = zip(*(row[1:] for row in words), strict=True)
        widths = [
            2 + max(len(name), *map(len, column))
            for name, column in zip(rows.columns[1:], cells, strict=True)
        ]
        room = max(len(rows.columns[0]), *(2 + len(row[0]) for row in words))
        if room + sum(widths) > width:
            above, room = [rows.columns[0]], max(2 + len(row[0]) for row in words)

    def line(label: str, cells: Iterable[str]) -> str:
        return f"{label:<{room}}" + "".join(
            cell.rjust(width) for cell, width in zip(cells, widths, strict=True)
        )

    heading = line("" if above else rows.columns[0], rows.columns[1:]).rstrip()
    return [*above, heading, *(line(f"  {row[0]}", row[1:]) for row in words)]


def _width(words: Sequence[str]) -> int:
    return max(map(_cells, map(printable, words)))


def _cells(word: str) -> int:
    return len(word) if word.isascii() else cell_len(word)
