"""Tables as a terminal or a log shows them."""

import statistics
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from cvfp_opt.escaping import listed, printable
from cvfp_opt.report.aligned import fitting, selected
from cvfp_opt.report.rows import MARKED, Rows, audit_rows, best_rows, iteration_rows
from cvfp_opt.report.words import number
from cvfp_opt.store.record.queue_entry import QueueState
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.studies import StudySummary

_COUNTED = ("complete", "pruned", "fail", "running", "waiting")


def terminal_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str = "",
    left: Collection[int] = (),
    wrap: Collection[int] = (),
) -> Table:
    """Draw words in columns, whoever wrote them: they are never markup.

    Args:
        columns: their headings.
        rows: cells; a rich Text keeps its colours.
        title: written above.
        left: places of the columns that stand to the left; figures stand to the right.
        wrap: places of the columns that may take several lines.
    """
    table = Table(
        title=_cell(title) if title else None,
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
    )
    for place, name in enumerate(columns):
        table.add_column(
            _cell(name),
            justify="left" if place in left else "right",
            no_wrap=place not in wrap,
            overflow="fold" if place in wrap else "ellipsis",
        )
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else _cell(cell) for cell in row))
    return table


def _cell(text: object) -> Text:
    return Text(printable(text))


def rows_table(rows: Rows) -> Table:
    """Draw any table, its first column to the left."""
    wrap = range(1, len(rows.columns))
    return terminal_table(rows.columns, rows.words(), left=(0,), wrap=wrap)


_WIDE = 120
# Columns that are left out where there is no room, the first one first.
_LEAST_OF_BEST = ("ended", "convergence", "rank", "untrained")
_LEAST_OF_AUDIT = ("norm", "lyapunov", "rank: unseen", "scale-free", "degenerate")


def best_table(ranking: Sequence[TrialRecord], title: str = "", width: int = _WIDE) -> Table:
    """Draw scores and parameters of the best trials, as far as a line has room for columns."""
    title = title or (f"The best {len(ranking)}" if len(ranking) > 1 else "The best")
    return _with_room(best_rows(ranking), title, width, _LEAST_OF_BEST)


def audit_table(ranking: Sequence[TrialRecord], width: int = _WIDE) -> Table:
    """Draw what the score does not say, for the same trials."""
    title = "Their audit (thresholds 0.1 for all; frozen: two reads with the final weights)"
    return _with_room(audit_rows(ranking), title, width, _LEAST_OF_AUDIT)


def _with_room(rows: Rows, title: str, width: int, least: Sequence[str]) -> Table:
    """Draw the columns that have room, and name the others: no figure is cut."""
    importance = [-len(least) + least.index(n) if n in least else 0 for n in rows.columns]
    chosen = fitting(rows, width, importance)
    some = selected(rows, chosen)
    table = terminal_table(some.columns, some.words(), title=title)
    if without := [name for place, name in enumerate(rows.columns) if place not in chosen]:
        table.caption = Text(f"no room for {listed(without)}")
        table.caption_justify = "left"
    return table


def iterations_table(trial: TrialRecord) -> Table | None:
    """Draw a line for each pass of a trial; None if there was none."""
    rows = iteration_rows(trial)
    return terminal_table(rows.columns, rows.words()) if rows.rows else None


def studies_table(studies: Iterable[StudySummary]) -> Table:
    """Draw all studies of a database."""
    rows = (
        (
            f"{one.name} ({note})" if (note := _note(one)) else one.name,
            "-" if one.queue.total is None else str(one.queue.total),
            *(one.num_trials.get(state, 0) for state in _COUNTED),
            number(one.best_value),
        )
        for one in studies
    )
    return terminal_table(("study", "total", *_COUNTED, "best"), rows, left=(0,))


def _note(study: StudySummary) -> str:
    """Say whose a study is, or that no trial begins in it."""
    state = study.queue.state
    return study.note or ("" if state is QueueState.OPEN else state.value)


def checks_table(checks: Iterable[dict[str, Any]]) -> Table:
    """Draw the checks of `verify`, a row for each; see single.verify.Check."""
    marks = {True: ("pass", "green"), False: ("FAIL", "bold red")}
    rows = (
        (
            *(one[key] for key in ("name", "split", "shown", "limit")),
            Text(*marks[one["passed"]]),
            one["meaning"],
        )
        for one in checks
    )
    columns = ("check", "text", "figure", "limit", "", "what it means")
    return terminal_table(columns, rows, left=(0, 1, 4, 5), wrap=(5,))


def threshold_table(rates: Iterable[dict[str, float]]) -> Table:
    """Draw convergence at each threshold, with bars; the original report's are marked."""
    rows = (
        (
            f"{one['threshold']:g}{' *' if one['threshold'] in MARKED else '  '}",
            *(
                word
                for kind in ("absolute", "scale_free")
                for word in (f"{one[kind]:.1%}", "#" * round(20 * one[kind]))
            ),
        )
        for one in rates
    )
    columns = ("threshold", "absolute", "", "scale-free", "")
    return terminal_table(columns, rows, left=(2, 4))


def probe_table(features: Iterable[dict[str, Any]]) -> Table:
    """Draw the next-token probe: means over its seeds, and how far they spread.

    Args:
        features: see single.next_token_probe.ProbedFeatures.
    """
    rows = (
        (
            one["features"],
            *(
                _spread([probe[f"{text}_{key}"] for probe in one["probes"]], form)
                for key, form in (("perplexity", ".1f"), ("accuracy", ".1%"))
                for text in ("train", "held_out")
            ),
        )
        for one in features
    )
    return terminal_table(
        ("features", "perplexity: train", "held-out", "accuracy: train", "held-out"),
        rows,
        title="Downstream: a linear probe predicts the next token (lower perplexity is better)",
        left=(0,),
    )


def _spread(values: Sequence[float], form: str) -> str:
    mean = f"{statistics.fmean(values):{form}}"
    return f"{mean} ± {statistics.stdev(values):{form}}" if len(values) > 1 else mean
