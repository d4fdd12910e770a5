"""The list of a study's trials, a row each: sorted, selected, for people and for programs."""

from collections.abc import Sequence

from cvfp_opt.errors import StudyError, nearest
from cvfp_opt.escaping import excerpt
from cvfp_opt.report.column import Column
from cvfp_opt.report.column_table import Table
from cvfp_opt.report.rows import Cell, Rows
from cvfp_opt.report.trial_columns import trial_columns
from cvfp_opt.report.trial_conditions import find_column, parse_condition
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import STATES, Summary


def trial_rows(
    summary: Summary,
    *,
    sort: str | None = None,
    reverse: bool = False,
    states: str | Sequence[str] = (),
    where: str | Sequence[str] = (),
    limit: int | None = None,
) -> Rows:
    """List the trials of a study, with all digits of their figures.

    The columns are, in this order:

    - ``trial`` (its number) and ``state``;
    - in a confirmation ``point`` and ``seed``: which point was run, on which of its seeds;
    - ``score``, ``untrained`` (the score of the same net before training), ``convergence`` and
      ``rank`` (both as they were scored, from 0 to 1); of a pruned trial, those of its last pass;
    - ``perplexity`` of the next-token probe, in a study with that objective (lower is better);
    - the parameters under Optuna's names, as ``dist_reg_weight``; ``params_NAME`` for one whose
      name is that of another column;
    - the audit: ``absolute``, ``scale_free``, ``frozen_seen``, ``unseen`` and ``rank_unseen``
      (from 0 to 1), ``lyapunov`` (nats a token), ``norm``, and ``degenerate`` (the flags that
      are raised, or "no");
    - ``ended`` (how, see docs/glossary.md), ``iterations``, ``seconds`` (wall time), ``started``
      and ``finished`` (UTC, as 2026-11-27T16:51:39.123Z), ``worker`` and ``host``.

    Trials of other programs have ``value``, or ``values_0``, ``values_1`` ..., in the place of
    the score and its parts, and neither audit nor ``ended``, ``worker`` and ``host``.

    Args:
        summary: of the study.
        sort: the column to sort by, the best first: scores, rates and ranks, and values that are
            maximized, begin with the largest, all other columns with the smallest. By score or
            value, complete trials come before those that were pruned. Trials that have nothing
            there come last; equal ones by number. None: by number.
        reverse: begin at the other end; what comes last still does.
        states: keep trials in one of these states.
        where: conditions, all of which must hold: ``score>=0.9``, ``ended=converged_early``. A
            trial without the figure does not meet one. ``convergence>90%`` is the rate 0.9.
        limit: keep so many of them, the first ones; None: all.

    Raises:
        StudyError: no such column or state, or a condition that is none.
    """
    columns = trial_columns(summary)
    trials = _selected(summary.trials, columns, _several(states), _several(where))
    if sort is not None:
        trials = _sorted(trials, find_column(sort, columns, "sort"), reverse=reverse)
    elif reverse:
        trials = trials[::-1]
    if limit is not None and limit < 1:
        raise StudyError(f"limit: at least 1 is required, got {limit}")
    return Rows(
        columns=tuple(column.name for column in columns),
        rows=tuple(tuple(column.take(trial) for column in columns) for trial in trials[:limit]),
        formats={column.name: column.write for column in columns},
    )


def trial_table(
    summary: Summary,
    *,
    sort: str | None = None,
    reverse: bool = False,
    states: str | Sequence[str] = (),
    where: str | Sequence[str] = (),
    limit: int | None = None,
) -> Table:
    """List the trials of a study as columns by name; everything else as ``trial_rows`` has it."""
    return Table.of(
        trial_rows(summary, sort=sort, reverse=reverse, states=states, where=where, limit=limit)
    )


def _several(names: str | Sequence[str]) -> Sequence[str]:
    return (names,) if isinstance(names, str) else names


def _selected(
    trials: Sequence[TrialRecord],
    columns: Sequence[Column],
    states: Sequence[str],
    where: Sequence[str],
) -> Sequence[TrialRecord]:
    for state in states:
        if state not in STATES:
            raise StudyError(f"state: unknown name {excerpt(state)!r}; {nearest(state, STATES)}")
    conditions = [parse_condition(text, columns) for text in where]
    return [
        trial
        for trial in trials
        if (not states or trial.state in states) and all(one.holds(trial) for one in conditions)
    ]


def _sorted(
    trials: Sequence[TrialRecord], column: Column, *, reverse: bool
) -> Sequence[TrialRecord]:
    def key(one: tuple[TrialRecord, Cell]) -> tuple[bool, Cell]:
        return isinstance(one[1], str), one[1]

    pairs = [(trial, column.take(trial)) for trial in trials]
    known = [pair for pair in pairs if not _is_missing(pair[1])]
    # stable either way, so that equal ones stay by number
    known.sort(key=key, reverse=column.largest_first is not reverse)
    if column.is_worth:
        known.sort(key=lambda pair: pair[0].state != "complete")
    missing = [trial for trial, cell in pairs if _is_missing(cell)]
    return [trial for trial, _ in known] + missing


def _is_missing(cell: Cell) -> bool:
    """Check for nothing, or NaN, which is neither less nor more than anything."""
    return cell is None or cell != cell
