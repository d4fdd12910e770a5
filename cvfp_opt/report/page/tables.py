"""Tables of a page, and the words in their cells."""

from collections.abc import Iterable
from dataclasses import dataclass

from cvfp_opt.report.figures.figure import Cell, Rows


@dataclass(frozen=True, kw_only=True)
class HtmlTable:
    """A table as a page shows it.

    Attributes:
        caption: said before it.
        columns: names.
        rows: words.
        numeric: of each column, whether it holds numbers.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]


def html_table(rows: Rows, caption: str) -> HtmlTable:
    """Cells as words: rates in percent, numbers with four digits, nothing as a dash."""
    percent = [name in rows.percent for name in rows.columns]
    return HtmlTable(
        caption=caption,
        columns=rows.columns,
        rows=tuple(
            tuple(_word(cell, rate) for cell, rate in zip(row, percent, strict=True))
            for row in rows.rows
        ),
        numeric=tuple(_is_numeric(row[i] for row in rows.rows) for i in range(len(rows.columns))),
    )


def _word(cell: Cell, percent: bool) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, str):
        return cell
    if percent:
        return f"{cell:.1%}"
    return str(cell) if isinstance(cell, int) else f"{cell:.4g}"


def _is_numeric(cells: Iterable[Cell]) -> bool:
    return not any(isinstance(cell, str) for cell in cells)
