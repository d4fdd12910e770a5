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
    """A figure as a table of a page."""
    return HtmlTable(
        caption=caption,
        columns=rows.columns,
        rows=rows.words(),
        numeric=tuple(_is_numeric(row[i] for row in rows.rows) for i in range(len(rows.columns))),
    )


def _is_numeric(cells: Iterable[Cell]) -> bool:
    return not any(isinstance(cell, str) for cell in cells)
