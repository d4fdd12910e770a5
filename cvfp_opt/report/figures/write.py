"""Numbers of figures for other programs: CSV and JSON."""

import csv
import io

from cvfp_opt.escaping import csv_cell
from cvfp_opt.report.figures.figure import Rows


def to_csv(rows: Rows) -> str:
    """Write full digits, nothing where there is no figure, and no text that would be a formula."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(csv_cell, rows.columns))
    writer.writerows(["" if cell is None else csv_cell(cell) for cell in row] for row in rows.rows)
    return text.getvalue()


def to_records(rows: Rows) -> list[dict[str, str | float | None]]:
    """An object for each row, by the columns' names."""
    return [dict(zip(rows.columns, row, strict=True)) for row in rows.rows]
