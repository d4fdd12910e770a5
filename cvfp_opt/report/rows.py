"""Tables of figures, each defined once, and written for terminals, Markdown, CSV and JSON.

Pages write them by their template, and ``report.tables`` draws those that a terminal frames.
"""

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from cvfp_opt.escaping import csv_cell, markdown
from cvfp_opt.report.words import number

Cell = str | float | None
Format = Callable[[Any], str]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """A table.

    Attributes:
        columns: their names.
        rows: cells in the order of the columns; None where there is no figure.
        formats: how the numbers of a column are written, by its name; four digits without one.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    formats: Mapping[str, Format] = field(default_factory=dict)

    def words(self) -> tuple[tuple[str, ...], ...]:
        """Write the cells for people: text as it is, and nothing as a dash."""
        formats = [self.formats.get(name, plain) for name in self.columns]
        return tuple(tuple(map(_word, row, formats)) for row in self.rows)

    @property
    def numeric(self) -> tuple[bool, ...]:
        """For each column whether it holds numbers, which stand to the right."""
        columns = range(len(self.columns))
        return tuple(not any(isinstance(row[i], str) for row in self.rows) for i in columns)


def _word(cell: Cell, write: Format) -> str:
    if cell is None:
        return "-"
    return cell if isinstance(cell, str) else write(cell)


def plain(cell: float) -> str:
    """Write a number with four significant digits, a whole one with all."""
    return str(cell) if isinstance(cell, int) else f"{cell:.4g}"


def digits(count: int) -> Format:
    """Write figures with so many digits after the point."""
    return lambda value: number(value, count)


def finite(value: Any) -> float | None:
    """Take a number that can be drawn; None for all else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return None
    return float(value)


def all_finite(values: Iterable[Any]) -> bool:
    """Check whether each of the values is a number that can be drawn."""
    return all(finite(value) is not None for value in values)


def markdown_table(rows: Rows) -> list[str]:
    """Write a table in Markdown, a line for each row; its cells are shown as they are."""
    heading = "".join(f" {name} |" if name else " |" for name in rows.columns)
    lines = [f"|{heading}", "|" + "---|" * len(rows.columns)]
    cells = ([markdown(cell) for cell in row] for row in rows.words())
    return lines + [f"| {' | '.join(row)} |" for row in cells]


def to_csv(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Write full digits, nothing where there is no figure, and no text that would be a formula."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(csv_cell, columns))
    writer.writerows(map(csv_cell, row) for row in rows)
    return text.getvalue()


def to_records(rows: Rows) -> list[dict[str, Cell]]:
    """Make an object of each row, by the columns' names."""
    return [dict(zip(rows.columns, row, strict=True)) for row in rows.rows]
