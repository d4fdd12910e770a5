"""The list of trials as a terminal or a log shows it."""

from collections.abc import Sequence
from dataclasses import dataclass

from cvfp_opt.escaping import listed, printable
from cvfp_opt.report.aligned import aligned_lines, fitting, selected
from cvfp_opt.report.column import Kind
from cvfp_opt.report.rows import Cell, Rows, to_csv
from cvfp_opt.report.trial_columns import trial_columns
from cvfp_opt.report.trial_conditions import find_column, parse_condition
from cvfp_opt.store.record.summary import Summary

# Of columns that somebody sorts by or asks about: after the trial's number.
_ASKED = 99
_LONGEST_NAME = 40


@dataclass(frozen=True, kw_only=True)
class TrialListText:
    """The list in words.

    Attributes:
        title: which study, and how many of its trials.
        lines: the table; none of them is wider than what was asked for.
        note: which columns had no room; "" if all had.
    """

    title: str
    lines: Sequence[str]
    note: str


def trial_list_text(
    summary: Summary,
    rows: Rows,
    *,
    width: int,
    sort: str | None = None,
    where: Sequence[str] = (),
) -> TrialListText:
    """Write the list of trials so that it fits a width; columns without any figure are left out.

    Args:
        summary: of the study.
        rows: see ``trial_list.trial_rows``.
        width: characters of a line.
        sort, where: what the rows were made by: those columns are left out last.
    """
    columns = trial_columns(summary)
    asked = [parse_condition(text, columns).column.name for text in where]
    asked += [find_column(sort, columns, "sort").name] if sort is not None else []
    shown = Rows(
        columns=tuple(column.heading for column in columns),
        rows=tuple(tuple(map(_short, (c.kind for c in columns), row)) for row in rows.rows),
        formats={column.heading: column.write for column in columns},
    )
    full = [any(row[i] is not None for row in rows.rows) for i in range(len(columns))]
    importance = [_ASKED if column.name in asked else column.importance for column in columns]
    places = [place for place, is_full in enumerate(full) if is_full]
    some = selected(shown, places)
    chosen = fitting(some, width, [importance[place] for place in places]) if places else []
    without = [columns[p].name for i, p in enumerate(places) if i not in chosen]
    names = listed(without, most=len(without), longest=_LONGEST_NAME)
    count = len(summary.trials)
    number = f"{len(rows.rows)} of {count}" if len(rows.rows) < count else f"{count}"
    return TrialListText(
        title=f"study {summary.name}: {number} trial{'' if count == 1 else 's'}",
        lines=aligned_lines(selected(some, chosen)) if chosen else [],
        note=f"no room for {names}; --csv has all columns" if without else "",
    )


def trial_list_csv(rows: Rows) -> list[str]:
    """Write a list of trials as CSV, with all digits, each trial on one line of a terminal."""
    cells = ((printable(one) if isinstance(one, str) else one for one in row) for row in rows.rows)
    return to_csv(map(printable, rows.columns), cells).removesuffix("\n").split("\n")


def _short(kind: Kind, cell: Cell) -> Cell:
    """Write a time for people, in UTC: 2026-11-27 16:51:39."""
    return cell[:19].replace("T", " ") if kind is Kind.TIME and isinstance(cell, str) else cell
