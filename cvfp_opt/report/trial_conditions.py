"""Conditions that select trials, as text: ``dist_reg_weight>0.5``, ``state==complete``."""

import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cvfp_opt.errors import StudyError, nearest
from cvfp_opt.escaping import excerpt
from cvfp_opt.report.column import Column, Kind
from cvfp_opt.store.record.records import TrialRecord

Compare = Callable[[Any, Any], bool]

_OPERATORS: dict[str, Compare] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}
_OPERATOR = re.compile(r"\s*(<=|>=|==|!=|<|>|=)\s*")
_EQUALITY = (operator.eq, operator.ne)
_TIME = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d(:\d\d(:\d\d(\.\d{3})?)?)?)?)?)?", re.ASCII)
_EXAMPLE = "write it as 'score>=0.9' or 'state=complete'"


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A condition on one column.

    Attributes:
        column: whose cells are compared.
        compare: a cell with what the condition names.
        number: what it names, as a number; None if it is none.
        text: the same as text.
    """

    column: Column
    compare: Compare
    number: float | None
    text: str

    def holds(self, trial: TrialRecord) -> bool:
        """Check a trial; what is missing, or of another kind, is unlike everything."""
        cell = self.column.take(trial)
        if cell is None or cell != cell:
            return False
        if self.column.kind is Kind.TIME:  # as far as it was named: a day is all of that day
            return self.compare(str(cell)[: len(self.text)], self.text)
        if isinstance(cell, str | bool):
            return self.compare in _EQUALITY and self.compare(str(cell), self.text)
        if self.number is not None:
            return self.compare(cell, self.number)
        return self.compare is operator.ne


def parse_condition(text: str, columns: Sequence[Column]) -> Condition:
    """Read a condition: a column, one of ``< <= > >= = == !=``, and what to compare with.

    Raises:
        StudyError: it is none, or the study has no such column, or the column no such value.
    """
    name, symbol, value = _split(text, columns)
    column = find_column(name, columns, f"where {excerpt(text)!r}")
    number = _number(value)
    if column.kind is Kind.TIME:
        value = value.replace(" ", "T").removesuffix("Z")
    _check(excerpt(text), column, symbol, value, number)
    if column.words is not None and value not in column.words:
        value = next((w for w in column.words if _alike(w) == _alike(value)), value)
    return Condition(column=column, compare=_OPERATORS[symbol], number=number, text=value)


def find_column(name: str, columns: Sequence[Column], where: str) -> Column:
    """Find a column by its name for programs, or by its heading for people.

    Raises:
        StudyError: there is none; ``where`` says who asked.
    """
    for known in ({column.name: column for column in columns}, _headed(columns)):
        if name in known:
            return known[name]
    hint = nearest(name, (column.name for column in columns))
    raise StudyError(f"{where}: there is no column {excerpt(name)!r}; {hint}")


def _headed(columns: Sequence[Column]) -> dict[str, Column]:
    return {column.heading: column for column in columns}


def _split(text: str, columns: Sequence[Column]) -> tuple[str, str, str]:
    """Split into name, operator and value; a name that has an operator in it is known whole."""
    text = text.strip()
    names = [name for column in columns for name in (column.name, column.heading)]
    for name in sorted(names, key=len, reverse=True):
        found = _OPERATOR.match(text, len(name)) if text.startswith(name) else None
        if found and text[found.end() :]:
            return name, found[1], text[found.end() :]
    found = _OPERATOR.search(text)
    if found is None or found.start() == 0 or found.end() == len(text):
        raise StudyError(
            "where: a column, one of < <= > >= = == !=, and a value are required, "
            f"got {excerpt(text)!r}; {_EXAMPLE}"
        )
    return text[: found.start()], found[1], text[found.end() :]


def _number(text: str) -> float | None:
    """Read a number; a percentage is a rate."""
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        return None
    if math.isnan(value):
        return None
    return value / 100 if text.endswith("%") else value


def _check(text: str, column: Column, symbol: str, value: str, number: float | None) -> None:
    """Refuse a condition that no trial could meet, as it is none of that column."""
    equality = _OPERATORS[symbol] in _EQUALITY
    needs_number = column.kind is Kind.NUMBER or (column.kind is Kind.CHOICE and not equality)
    if number is None and (needs_number or (column.kind is Kind.CHOICE and not column.words)):
        raise StudyError(
            f"where {text!r}: a number is required after {symbol}, got {excerpt(value)!r}"
        )
    if column.kind is Kind.TIME and not _TIME.fullmatch(value):
        raise StudyError(
            f"where {text!r}: a time in UTC is required, as 2026-11-27 or 2026-11-27T16:51, "
            f"got {excerpt(value)!r}"
        )
    if column.kind is Kind.TEXT and not equality:
        raise StudyError(
            f"where {text!r}: {excerpt(column.name)} is a text; = or != is required, got {symbol}"
        )
    is_word = number is None or column.kind is Kind.TEXT
    if is_word and column.words and _alike(value) not in map(_alike, column.words):
        hint = nearest(value, column.words)
        raise StudyError(
            f"where {text!r}: {excerpt(column.name)} is never {excerpt(value)!r}; {hint}"
        )


def _alike(word: str) -> str:
    """Reduce a word to what may not differ: ``converged_early`` is ``converged early``."""
    return word.casefold().replace("_", " ")
