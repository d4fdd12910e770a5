"""Tables as a terminal or a log shows them."""

import statistics
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from rich.text import Text

from cvfp_opt.escaping import printable
from cvfp_opt.report.fitted import FittedTable
from cvfp_opt.report.rows import Rows
from cvfp_opt.report.trial_rows import (
    MARKED,
    audit_rows,
    best_rows,
    iteration_rows,
    scored_quantities,
)
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
    least: Sequence[int] = (),
) -> FittedTable:
    """Draw words in columns, whoever wrote them: they are never markup.

    Args:
        columns: their headings.
        rows: cells; a rich Text keeps its colours.
        title: written above.
        left: places of the columns that stand to the left; figures stand to the right.
        wrap: places of the columns that may take several lines.
        least: places of the columns that are left out where there is no room, the first one first.
    """
    return FittedTable(
        columns=[printable(name) for name in columns],
        rows=[[cell if isinstance(cell, Text) else _cell(cell) for cell in row] for row in rows],
        title=title,
        left=left,
        flowing=wrap,
        least=least,
    )


def _cell(text: object) -> Text:
    return Text(printable(text))


def rows_table(rows: Rows, title: str = "", least: Iterable[str] = ()) -> FittedTable:
    """Draw any table, its first column and words to the left.

    Args:
        rows: of it.
        title: written above.
        least: names of the columns that are left out where there is no room, the first one first.
    """
    places = range(len(rows.columns))
    words = [place for place in places if place and not rows.numeric[place]]
    return terminal_table(
        rows.columns,
        rows.words(),
        title=title,
        left=(0, *words),
        wrap=words,
        least=[rows.columns.index(name) for name in least if name in rows.columns],
    )


# Columns that are left out where there is no room, the first one first. In the table of the best,
# the parameters go after the first: `best` and the report have them all.
_LEAST_OF_BEST = ("untrained", "rank", "convergence")
_LEAST_OF_AUDIT = ("norm", "lyapunov", "rank: unseen", "scale-free", "degenerate", "absolute")


def best_table(ranking: Sequence[TrialRecord], title: str = "") -> FittedTable:
    """Draw scores and parameters of the best trials, as far as a line has room for columns."""
    title = title or (f"The best {len(ranking)}" if len(ranking) > 1 else "The best")
    rows = best_rows(ranking)
    scores = len(scored_quantities(ranking))
    parameters = rows.columns[scores + 1 : rows.columns.index("ended")]
    return _figures_table(rows, title, ("ended", *reversed(parameters), *_LEAST_OF_BEST))


def audit_table(ranking: Sequence[TrialRecord]) -> FittedTable:
    """Draw what the score does not say, for the same trials."""
    title = "Their audit (thresholds 0.1 for all; frozen: two reads with the final weights)"
    return _figures_table(audit_rows(ranking), title, _LEAST_OF_AUDIT)


def _figures_table(rows: Rows, title: str, least: Sequence[str]) -> FittedTable:
    """Draw figures to the right, with the last column's words in several lines."""
    places = [rows.columns.index(name) for name in least if name in rows.columns]
    wrap = (len(rows.columns) - 1,)
    return terminal_table(rows.columns, rows.words(), title=title, wrap=wrap, least=places)


_LEAST_OF_ITERATION = ("learning rate", "weight", "residual", "exponent")


def iterations_table(trial: TrialRecord) -> FittedTable | None:
    """Draw a line for each pass of a trial; None if there was none."""
    rows = iteration_rows(trial)
    return _figures_table(rows, "", _LEAST_OF_ITERATION) if rows.rows else None


def studies_table(studies: Iterable[StudySummary]) -> FittedTable:
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
    columns = ("study", "total", *_COUNTED, "best")
    least = [columns.index(name) for name in ("pruned", "waiting", "fail", "running", "total")]
    return terminal_table(columns, rows, left=(0,), wrap=(0,), least=least)


def _note(study: StudySummary) -> str:
    """Say whose a study is, or that no trial begins in it."""
    state = study.queue.state
    return study.note or ("" if state is QueueState.OPEN else state.value)


def checks_table(checks: Iterable[dict[str, Any]]) -> FittedTable:
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
    columns = ("check", "text", "figure", "limit", "result", "what it means")
    return terminal_table(columns, rows, left=(0, 1, 4, 5), wrap=(0, 1, 5), least=(5,))


def threshold_table(rates: Iterable[dict[str, float]]) -> FittedTable:
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
    return terminal_table(columns, rows, left=(2, 4), least=(4, 2))


def probe_table(features: Iterable[dict[str, Any]]) -> FittedTable:
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
        (
            "features",
            "perplexity: train",
            "perplexity: held-out",
            "accuracy: train",
            "accuracy: held-out",
        ),
        rows,
        title="Downstream: a linear probe predicts the next token (lower perplexity is better)",
        left=(0,),
        wrap=(0,),
        least=(3, 1),
    )


def _spread(values: Sequence[float], form: str) -> str:
    mean = f"{statistics.fmean(values):{form}}"
    return f"{mean} ± {statistics.stdev(values):{form}}" if len(values) > 1 else mean
