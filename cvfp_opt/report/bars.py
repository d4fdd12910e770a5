"""Bars of a study and of its running trials, each one line of a terminal however narrow it is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cvfp_opt.escaping import printable
from cvfp_opt.report.extent import left_words
from cvfp_opt.report.fitted import GAP, Part, cells, fitting_parts
from cvfp_opt.report.words import number, parameter, short_name
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import untrained_score

# Cells of a bar by the width of the terminal from which on it has so many.
_LENGTHS = ((100, 24), (72, 12), (0, 6))


@dataclass(frozen=True, kw_only=True)
class Bar:
    """How far something is.

    Attributes:
        label: what.
        done, total: in any unit.
        parts: what is said of it.
    """

    label: str
    done: float
    total: float
    parts: Sequence[Part] = ()


@dataclass(frozen=True, kw_only=True)
class Bars:
    """Bars below each other, as many as have room.

    Attributes:
        bars: the most important one first.
        height: lines to take at most; None for as many as there are bars.
    """

    bars: Sequence[Bar]
    height: int | None = None

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        shown = self.bars
        if self.height is not None and len(shown) > self.height:
            shown = shown[: max(1, self.height - 1)]
        width = options.max_width
        length = next(length for least, length in _LENGTHS if width >= least)
        label = max(cells(bar.label) for bar in shown)
        room = width - label - length - 2 * GAP
        table = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
        table.add_column(width=label, no_wrap=True)
        table.add_column(width=length)
        table.add_column(width=max(0, room), no_wrap=True, overflow="crop")
        for bar in shown:
            words = fitting_parts(bar.parts, room)
            drawn = ProgressBar(bar.total or 1, bar.done, width=length)
            table.add_row(
                Text(printable(bar.label)), drawn, Text(words if cells(words) <= room else "")
            )
        yield table
        if more := len(self.bars) - len(shown):
            yield Text(f"and {more} more", "dim")


def study_bar(*, done: int, total: int, best: TrialRecord | None, left: float | None) -> Bar:
    """Make the bar of a study: trials, the best score beside the untrained net's, time left.

    Args:
        done: finished trials.
        total: of the study.
        best: its best trial; None while there is none.
        left: seconds; None while nobody can tell.
    """
    parts = [Part(f"{done}/{total}", 9)]
    if best is not None and best.value is not None:
        parts.append(Part(f"best {number(best.value)}", 7))
        if (untrained := untrained_score(best)) is not None:
            parts.append(Part(f"untrained {number(untrained)}", 5))
    if left is not None and done < total:
        parts.append(Part(left_words(left), 8))
    return Bar(label="study", done=min(done, total), total=total, parts=parts)


def parameter_parts(params: Mapping[str, Any]) -> list[Part]:
    """Write parameters as pieces of a line, the first ones of the most importance below 3."""
    return [
        Part(printable(f"{short_name(k)} {parameter(v, 3)}"), 2 - place / (1 + len(params)))
        for place, (k, v) in enumerate(params.items())
    ]
