"""A table as columns by name, which makers of data frames take as it is."""

import shutil
from collections.abc import Sequence
from html import escape
from itertools import zip_longest
from typing import Any, Self

from cvfp_opt.escaping import LONGEST_NAME, listed, printable
from cvfp_opt.report.aligned import aligned_lines, fitting, selected
from cvfp_opt.report.rows import Cell, Rows

_SHOWN_ROWS = 10
# Of whole numbers as columns of data frames have them, in 64 bits with a sign.
_END_OF_WHOLE = 2**63


class Table(dict[str, list[Any]]):
    """A table: a list of cells for each column, all of one length, by the column's name.

    It is a dictionary, so ``pandas.DataFrame(table)`` and ``polars.DataFrame(table)`` take it as
    it is; None where there is no figure. Shown, it is its first rows.

    Example:
        >>> Table(trial=[0, 1], score=[0.5, None])
        trial  score
            0    0.5
            1      -
        2 rows, 2 columns
    """

    @classmethod
    def of(cls, rows: Rows) -> Self:
        """Make one of rows."""
        return cls(to_columns(rows))

    @property
    def num_rows(self) -> int:
        """The number of its rows."""
        return max(map(len, self.values()), default=0)

    def __repr__(self) -> str:
        if not self:
            return self._count()
        first = self._first()
        width = shutil.get_terminal_size((100, 24)).columns
        chosen = fitting(first, width, [0] * len(first.columns))
        without = [name for place, name in enumerate(first.columns) if place not in chosen]
        hidden = f"; not shown: {listed(without, longest=LONGEST_NAME)}" if without else ""
        return "\n".join([*aligned_lines(selected(first, chosen)), self._count() + hidden])

    def _repr_html_(self) -> str:
        """Write its first rows for a notebook: text only, escaped."""
        return html_table(self._first(), self._count())

    def _count(self) -> str:
        count = self.num_rows
        shown = f"; the first {_SHOWN_ROWS}" if count > _SHOWN_ROWS else ""
        return f"{_plural(count, 'row')}, {_plural(len(self), 'column')}{shown}"

    def _first(self) -> Rows:
        columns = (column[:_SHOWN_ROWS] for column in self.values())
        rows = tuple(tuple(map(_cell, row)) for row in zip_longest(*columns))
        return Rows(columns=tuple(map(str, self)), rows=rows)


def to_columns(rows: Rows) -> dict[str, list[Any]]:
    """Turn rows into columns by name, as makers of data frames take them.

    The cells of a column are of one type, but for None: text where one of them is, and no whole
    numbers beside others.
    """
    cells = zip(*rows.rows, strict=True) if rows.rows else ((),) * len(rows.columns)
    return {name: _of_one_type(column) for name, column in zip(rows.columns, cells, strict=True)}


def _of_one_type(cells: Sequence[Cell]) -> list[Cell]:
    types = {type(cell) for cell in cells if cell is not None}
    if len(types) > 1 and types & {str, bool}:
        return [cell if cell is None else str(cell) for cell in cells]
    if float in types or not all(_fits(cell) for cell in cells):
        return [cell if cell is None else float(cell) for cell in cells]
    return list(cells)


def _fits(cell: Cell) -> bool:
    return not isinstance(cell, int) or abs(cell) < _END_OF_WHOLE


def html_table(rows: Rows, caption: str = "") -> str:
    """Write a table as HTML, its figures to the right; nothing in it is markup."""

    def line(tag: str, cells: Sequence[str]) -> str:
        marked = (
            f'<{tag} style="text-align: {"right" if numeric else "left"}">'
            f"{escape(printable(cell))}</{tag}>"
            for cell, numeric in zip(cells, rows.numeric, strict=True)
        )
        return f"<tr>{''.join(marked)}</tr>"

    body = "".join(line("td", cells) for cells in rows.words())
    return (
        f"<table><caption>{escape(printable(caption))}</caption>"
        f"<thead>{line('th', rows.columns)}</thead><tbody>{body}</tbody></table>"
    )


def _cell(value: Any) -> Cell:
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
