"""The columns of a list of trials: what there is to be shown, sorted by and compared."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Required, TypedDict

from cvfp_opt.report.column import Column, Kind
from cvfp_opt.report.parameter_columns import parameter_columns
from cvfp_opt.report.rows import Cell
from cvfp_opt.report.trial_rows import AUDITED, PERPLEXITY, SCORED, Quantity, degenerate_flags
from cvfp_opt.report.words import duration
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import STATES, Summary

# How a trial may have ended: the words of training, and of those who end it from outside.
ENDED = (
    "finished",
    "converged early",
    "pruned",
    "diverged",
    "lost",
    "refused",
    "failed by hand",
    "error",
)


class TrialRowJson(TypedDict, total=False):
    """A trial in a list of trials. Its parameters are further keys, by their names.

    Of another program's trials `value`, or `values_0`, `values_1` ..., is in the place of the
    score and its parts.

    Attributes:
        trial: its number.
        state: "complete", "pruned", "fail", "running" or "waiting".
        point: in a confirmation: which point was run.
        seed: in a confirmation: on which of its seeds.
        score: its score, from 0 to 1; of a pruned trial, that of its last pass.
        untrained: the score of the same net before training.
        convergence: share of converged tokens, as it was scored, from 0 to 1.
        rank: effective rank / D, as it was scored, from 0 to 1.
        perplexity: of the next-token probe on held-out text, lower is better; only in a study
            with that objective.
        value: another program's single value.
        absolute: share of tokens that converged at the fixed 0.1.
        scale_free: the same, scale-free.
        frozen_seen: share of tokens at a fixed point, on text that it saw.
        unseen: the same on text that it never saw.
        rank_unseen: effective rank / D on text that it never saw.
        lyapunov: Lyapunov exponent, in nats a token.
        norm: mean norm of a context.
        degenerate: the flags of degeneracy that are raised, or "no".
        ended: how training ended.
        iterations: number of passes.
        seconds: wall time.
        started, finished: UTC, as 2026-11-27T16:51:39.123Z.
        worker: id of the worker that ran it.
        host: name of the machine that ran it.
    """

    trial: Required[int]
    state: Required[str]
    point: str | None
    seed: int | None
    score: float | None
    untrained: float | None
    convergence: float | None
    rank: float | None
    perplexity: float | None
    value: float | None
    absolute: float | None
    scale_free: float | None
    frozen_seen: float | None
    unseen: float | None
    rank_unseen: float | None
    lyapunov: float | None
    norm: float | None
    degenerate: str | None
    ended: str | None
    iterations: int | None
    seconds: float | None
    started: str | None
    finished: str | None
    worker: str | None
    host: str | None


def trial_columns(summary: Summary) -> tuple[Column, ...]:
    """List the columns that the trials of a study have, in their order; see ``trial_rows``."""
    fixed = [
        Column(name="trial", heading="trial", take=attrgetter("number"), importance=100),
        _text("state", attrgetter("state"), 95, STATES),
        *(_point_and_seed() if summary.confirms else ()),
        *(_scored() if summary.record else _values(summary)),
        *(_probed() if _is_probed(summary) else ()),
    ]
    audited = _audited() if summary.record else []
    ran = [*(_ended() if summary.record else ()), *_run()]
    where = _where() if summary.record else []
    others = [*fixed, *audited, *ran, *where]
    return (*fixed, *parameter_columns(summary, others), *audited, *ran, *where)


def trial_row(summary: Summary, trial: TrialRecord) -> dict[str, Cell]:
    """Take the cells of one trial, by the names of the columns."""
    return {column.name: column.take(trial) for column in trial_columns(summary)}


def _text(
    name: str,
    take: Callable[[TrialRecord], Any],
    importance: int,
    words: tuple[str, ...] | None = None,
) -> Column:
    """Make a column of texts; what is none, or empty, counts as missing."""

    def text(trial: TrialRecord) -> Cell:
        found = take(trial)
        return found if isinstance(found, str) and found else None

    return Column(
        name=name, heading=name, take=text, importance=importance, kind=Kind.TEXT, words=words
    )


def _point_and_seed() -> list[Column]:
    return [
        _text("point", lambda trial: trial.run.get("label"), 94),
        Column(
            name="seed", heading="seed", take=lambda trial: trial.run.get("seed"), importance=93
        ),
    ]


def _figure(quantity: Quantity, importance: int, *, larger: bool, worth: bool = False) -> Column:
    return Column(
        name=re.sub(r"\W+", "_", quantity.column),
        heading=quantity.column,
        take=quantity.take,
        importance=importance,
        write=quantity.write,
        largest_first=larger,
        is_worth=worth,
    )


def _scored() -> list[Column]:
    places = {"score": 90, "untrained": 69, "convergence": 85, "rank": 84}
    return [
        _figure(one, places[one.column], larger=True, worth=one.column == "score")
        for one in SCORED
    ]


def _is_probed(summary: Summary) -> bool:
    """Check whether trials have a next-token probe, or will have one."""
    if summary.record is None:
        return False
    asked = summary.record.definition["objective"].get("downstream", False)
    return asked or any(trial.downstream for trial in summary.trials)


def _probed() -> list[Column]:
    return [_figure(PERPLEXITY, 83, larger=False)]


def _audited() -> list[Column]:
    places = {"unseen": 70, "scale-free": 68, "absolute": 67}
    degenerate = _text("degenerate", degenerate_flags, 30)
    rates = [
        _figure(one, places.get(one.column, 35), larger=one.column not in ("lyapunov", "norm"))
        for one in AUDITED
    ]
    return [*rates, degenerate]


def _values(summary: Summary) -> list[Column]:
    """List what another program's trials are worth, under Optuna's names."""
    names = [f"values_{i}" for i in range(len(summary.directions))]
    return [
        Column(
            name=name,
            heading=name,
            take=_value(place),
            importance=90,
            largest_first=direction == "maximize",
            is_worth=True,
        )
        for place, (name, direction) in enumerate(
            zip(names if summary.is_pareto else ["value"], summary.directions, strict=True)
        )
    ]


def _value(place: int) -> Callable[[TrialRecord], Cell]:
    def take(trial: TrialRecord) -> Cell:
        return trial.values[place] if place < len(trial.values) else None

    return take


def _ended() -> list[Column]:
    return [_text("ended", attrgetter("status"), 50, ENDED)]


def _run() -> list[Column]:
    """List how long a trial took, and when it ran."""
    return [
        Column(name="iterations", heading="iterations", take=_iterations, importance=45),
        Column(name="seconds", heading="time", take=_seconds, importance=48, write=duration),
        _time("started", attrgetter("started"), 20),
        _time("finished", attrgetter("completed"), 19),
    ]


def _iterations(trial: TrialRecord) -> int:
    return max(len(trial.iterations), len(trial.reported))


def _seconds(trial: TrialRecord) -> float | None:
    """Sum the phases; of a trial without any, take the time from its start to its end."""
    if trial.seconds:
        return sum(trial.seconds.values())
    if trial.started is None or trial.completed is None:
        return None
    return max(0.0, trial.completed - trial.started)


def _time(name: str, take: Callable[[TrialRecord], float | None], importance: int) -> Column:
    def text(trial: TrialRecord) -> Cell:
        seconds = take(trial)
        if seconds is None:
            return None
        when = datetime.fromtimestamp(seconds, UTC)
        return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    return Column(name=name, heading=name, take=text, importance=importance, kind=Kind.TIME)


def _where() -> list[Column]:
    return [
        _text("worker", lambda trial: trial.environment.get("worker"), 10),
        _text("host", lambda trial: trial.environment.get("host"), 15),
    ]
