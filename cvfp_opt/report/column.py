"""A column of a list of trials: what it takes from a trial, and how that is written."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from cvfp_opt.report.rows import Cell, Format, plain
from cvfp_opt.store.record.records import TrialRecord


class Kind(Enum):
    """The kind of a column's cells, by which conditions are read."""

    NUMBER = auto()
    TEXT = auto()
    TIME = auto()
    CHOICE = auto()


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a list of trials.

    Attributes:
        name: for programs.
        heading: for people.
        take: the cell of a trial; None where it has none.
        importance: where there is no room for all columns, those of a lower one are left out.
        write: a number for people.
        kind: of its cells.
        words: all that a text can be; None if it can be any.
        largest_first: whether more is better, so that a sorted list begins with the largest.
        is_worth: whether it is what the study searches by, so that complete trials come first.
    """

    name: str
    heading: str
    take: Callable[[TrialRecord], Cell]
    importance: int
    write: Format = plain
    kind: Kind = Kind.NUMBER
    words: tuple[str, ...] | None = None
    largest_first: bool = False
    is_worth: bool = False
