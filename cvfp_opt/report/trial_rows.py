"""The figures of trials as tables: scores, audits, passes, thresholds; each defined once."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from cvfp_opt.report.rows import Cell, Format, Rows, digits, finite
from cvfp_opt.report.words import (
    DEGENERATE,
    TEXTS,
    against_words,
    number,
    parameter,
    share,
    short_name,
)
from cvfp_opt.store.record.quantiles import rate_at
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import untrained_score
from cvfp_opt.store.record.trial_attributes import (
    StoredAudit,
    StoredIteration,
    StoredProbe,
    StoredScore,
)

# Thresholds at which convergence is listed, and those that the original report studies.
THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0)
MARKED = (0.1, 0.2, 0.5, 1.0)
# Threshold at which an audit counts the tokens.
COUNTED = 0.1


class Quantity(NamedTuple):
    """A figure that a trial has.

    Attributes:
        column: its name in a table of trials.
        label: its name where it stands alone.
        take: the figure; None where the trial has none.
        write: it for people.
        meaning: explains it.
    """

    column: str
    label: str
    take: Callable[[TrialRecord], float | None]
    write: Format
    meaning: str = ""


def scored(trial: TrialRecord) -> StoredScore:
    """Take convergence rate and effective rank as they were scored, if they were."""
    return trial.scored or trial.metrics


def _scored(key: str) -> Callable[[TrialRecord], float | None]:
    def take(trial: TrialRecord) -> float | None:
        figures: Mapping[str, Any] = scored(trial)
        return figures.get(key)

    return take


def _audited(*keys: str) -> Callable[[TrialRecord], float | None]:
    def take(trial: TrialRecord) -> float | None:
        value: Any = trial.audit
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        found: float | None = value
        return found

    return take


_FORMULA = "half convergence, half rank, unless weighted otherwise"
SCORED = (
    Quantity("score", "score", attrgetter("value"), number, _FORMULA),
    Quantity(
        "untrained", "untrained net", untrained_score, number, "the same net before training"
    ),
    Quantity("convergence", "convergence", _scored("convergence_rate"), share, "as it was scored"),
    Quantity("rank", "effective rank / D", _scored("effective_rank"), share, "as it was scored"),
)
PERPLEXITY = Quantity(
    "perplexity",
    "held-out perplexity",
    lambda trial: trial.downstream.get("held_out_perplexity"),
    digits(1),
    "of a probe that predicts the next token; lower is better",
)
_ABSOLUTE, _SCALE_FREE = _audited("absolute_convergence"), _audited("scale_free_convergence")
_SEEN, _UNSEEN = (_audited(read, "convergence") for read in ("frozen_train", "frozen_held_out"))
_UNSEEN_RANK = _audited("frozen_held_out", "effective_rank")
AUDITED = (
    Quantity("absolute", "converged at the fixed 0.1", _ABSOLUTE, share),
    Quantity("scale-free", "converged at 0.1, scale-free", _SCALE_FREE, share),
    Quantity("frozen: seen", "fixed point: text it saw", _SEEN, share),
    Quantity("unseen", "fixed point: unseen text", _UNSEEN, share),
    Quantity("rank: unseen", "rank / D on unseen text", _UNSEEN_RANK, share),
    Quantity("lyapunov", "Lyapunov exponent", _audited("lyapunov_exponent"), digits(2)),
    Quantity("norm", "mean norm of a context", _audited("context_norm"), digits(1)),
)


def scored_quantities(trials: Iterable[TrialRecord]) -> tuple[Quantity, ...]:
    """List what trials are worth: SCORED, and the perplexity where one of them was probed."""
    return (*SCORED, PERPLEXITY) if any(trial.downstream for trial in trials) else SCORED


def quantity_rows(trials: Sequence[TrialRecord], quantities: Sequence[Quantity]) -> Rows:
    """List figures of trials, a row for each."""
    return Rows(
        columns=("trial", *(one.column for one in quantities)),
        rows=tuple((t.number, *(one.take(t) for one in quantities)) for t in trials),
        formats={one.column: one.write for one in quantities},
    )


def best_rows(ranking: Sequence[TrialRecord]) -> Rows:
    """List scores and parameters of the best trials."""
    names = list(dict.fromkeys(name for trial in ranking for name in trial.params))
    scores = quantity_rows(ranking, scored_quantities(ranking))
    rows = (
        (
            *row,
            *(parameter(t.params[n]) if n in t.params else None for n in names),
            t.status,
        )
        for row, t in zip(scores.rows, ranking, strict=True)
    )
    columns = (*scores.columns, *map(short_name, names), "ended")
    if any(not trial.feasible for trial in ranking):
        columns += ("its audit says",)
        rows = ((*row, against_words(t) or "-") for row, t in zip(rows, ranking, strict=True))
    return Rows(columns=columns, rows=tuple(rows), formats=scores.formats)


def audit_rows(ranking: Sequence[TrialRecord]) -> Rows:
    """List what the score does not say, for the same trials."""
    audited = quantity_rows(ranking, AUDITED)
    flags = map(degenerate_flags, ranking)
    return Rows(
        columns=(*audited.columns, "degenerate"),
        rows=tuple((*row, flag) for row, flag in zip(audited.rows, flags, strict=True)),
        formats=audited.formats,
    )


def degenerate_flags(trial: TrialRecord) -> str | None:
    """Name the ways in which a trial's net is worth nothing, or ``no``; None without an audit."""
    if not trial.audit:
        return None
    return ", ".join(flag for flag in DEGENERATE if trial.audit[flag]) or "no"


def account_tables(trial: TrialRecord) -> list[Rows]:
    """List metrics and audit of one trial: those tables for which it has figures."""
    tables = [_metrics(trial.metrics)] if trial.metrics else []
    tables += [_downstream(trial.downstream)] if trial.downstream else []
    return tables + (_audit(trial.audit) if trial.audit else [])


def _downstream(probe: StoredProbe) -> Rows:
    """List how well the next-token probe predicts."""
    figures = (
        (
            "perplexity",
            number(probe["train_perplexity"], 1),
            number(probe["held_out_perplexity"], 1),
        ),
        ("accuracy", share(probe.get("train_accuracy")), share(probe.get("held_out_accuracy"))),
    )
    return Rows(
        columns=("downstream: contexts beside embedding", "train", "held-out"), rows=figures
    )


def _metrics(metrics: StoredIteration) -> Rows:
    figures = (
        (
            "convergence rate",
            share,
            metrics["convergence_rate"],
            metrics["validation_convergence_rate"],
        ),
        (
            "effective rank / D",
            share,
            metrics["effective_rank"],
            metrics["validation_effective_rank"],
        ),
        ("score", number, metrics["score"], metrics["validation_score"]),
    )
    return Rows(
        columns=("metrics of the last pass", "train", "validation"),
        rows=tuple((label, write(train), write(other)) for label, write, train, other in figures),
    )


def _audit(audit: StoredAudit) -> list[Rows]:
    baseline = audit["baseline"]
    single = (
        ("mean norm of a context", number(audit["context_norm"], 2)),
        ("Lyapunov exponent per token", number(audit["lyapunov_exponent"])),
        ("untrained: score", number(baseline["score"])),
        ("untrained: convergence rate", share(baseline["convergence_rate"])),
        ("untrained: effective rank / D", share(baseline["effective_rank"])),
        ("untrained: the same on validation", share(baseline["validation_effective_rank"])),
    )
    passes: list[tuple[Cell, Cell]] = [
        (audit["absolute_convergence"], audit["scale_free_convergence"])
    ]
    for moved in (audit.get("training_validation"), audit.get("training_held_out")):
        moved = moved or {}  # an older version measured neither
        passes.append((moved.get("absolute"), moved.get("scale_free")))
    reads: list[Mapping[str, Any]] = [
        audit["frozen_train"],
        audit["frozen_validation"],
        audit["frozen_held_out"],
    ]
    texts = TEXTS.values()
    keys = ("absolute_convergence", "convergence", "convergence_strict", "effective_rank")
    columns = ("absolute", "scale-free", "at 0.01", "rank")
    return [
        Rows(columns=("audit", ""), rows=single),
        Rows(
            columns=("last two passes of training, at 0.1", *columns[:2]),
            rows=tuple((text, *rates) for text, rates in zip(texts, passes, strict=True)),
            formats=dict.fromkeys(columns, share),
        ),
        Rows(
            columns=("two reads with the final weights", *columns),
            rows=tuple(
                (text, *map(read.get, keys)) for text, read in zip(texts, reads, strict=True)
            ),
            formats=dict.fromkeys(columns, share),
        ),
    ]


def threshold_rows(audit: StoredAudit) -> list[dict[str, float]]:
    """List convergence rates at each of THRESHOLDS, absolute and scale-free.

    At 0.1 they are those of the audit, which were counted; elsewhere within 1.6 points and one
    token of what would be counted.

    Args:
        audit: of a trial, see model.audit.Audit.
    """
    quantiles, power = audit["residual_quantiles"], audit["mean_square"]
    counted, scale_free = audit["absolute_convergence"], audit["scale_free_convergence"]
    return [
        {
            "threshold": threshold,
            "absolute": _rate(rate_at(quantiles, threshold), threshold, counted),
            "scale_free": _rate(rate_at(quantiles, threshold * power), threshold, scale_free),
        }
        for threshold in THRESHOLDS
    ]


def _rate(read: float, threshold: float, counted: float) -> float:
    """Take the rate that was counted at 0.1, and keep those that were read on their side of it."""
    if finite(counted) is None:
        return read
    if threshold == COUNTED:
        return counted
    return min(read, counted) if threshold < COUNTED else max(read, counted)


def pass_numbers(trial: TrialRecord) -> list[int]:
    """List the numbers of the passes of ``steps_of``, from 1; other programs' as they are.

    Records count iterations from 0, people count passes from 1.
    """
    first = 1 if trial.iterations else 0
    return [first + step.get("iteration", place) for place, step in enumerate(steps_of(trial))]


def iteration_rows(trial: TrialRecord) -> Rows:
    """List the metrics of each pass, or only what was reported."""
    if not trial.iterations:
        return Rows(
            columns=("step", "reported"),
            rows=tuple(sorted(trial.reported.items())),
            formats={"reported": digits(4)},
        )
    shown = dict(_ITERATION)
    if not any(row.get("lyapunov_exponent") is not None for row in trial.iterations):
        del shown["exponent"]
    return Rows(
        columns=("pass", *shown),
        rows=tuple(
            (number, *(row.get(key) for key, _ in shown.values()))
            for number, row in zip(pass_numbers(trial), steps_of(trial), strict=True)
        ),
        formats={column: write for column, (_, write) in shown.items()},
    )


_ITERATION: Mapping[str, tuple[str, Format]] = {
    "score": ("score", digits(4)),
    "convergence": ("convergence_rate", share),
    "rank": ("effective_rank", share),
    "residual": ("residual", digits(4)),
    "exponent": ("lyapunov_exponent", digits(2)),
    "weight": ("weight", number),
    "learning rate": ("learning_rate", digits(5)),
}


# Key of an iteration, title of its panel, whether it is a rate.
PANELS = (
    ("convergence_rate", "convergence", True),
    ("effective_rank", "effective rank / D", True),
    ("weight", "diversity weight", False),
    ("learning_rate", "learning rate", False),
    ("value", "reported value", False),
)


def steps_of(trial: TrialRecord) -> Sequence[Mapping[str, Any]]:
    """List what each pass of a trial left; of other programs' trials what they reported."""
    return trial.iterations or [
        {"iteration": step, "value": value} for step, value in sorted(trial.reported.items())
    ]
