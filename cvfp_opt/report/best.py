"""The winner: in words, and as a definition with its parameters fixed."""

from typing import Any

from cvfp_opt.errors import StudyError
from cvfp_opt.escaping import excerpt, quoted
from cvfp_opt.report.confirmation import confirmation_line
from cvfp_opt.report.tables import number, parameter, share, value_words
from cvfp_opt.report.toml import definition_toml
from cvfp_opt.store.record.definition_sections import with_parameters
from cvfp_opt.store.record.points import strangers
from cvfp_opt.store.record.records import TrialRecord, Unread, definition_of
from cvfp_opt.store.record.summary import Summary

TEXTS = {"train": "training text", "validation": "validation text", "held_out": "held-out text"}


def require_best(summary: Summary) -> TrialRecord:
    """The best trial.

    Raises:
        StudyError: no trial is complete.
    """
    if summary.best is None:
        more = f"type `cvfp-opt run --study-name {quoted(summary.name)}`"
        raise StudyError(
            f"study {summary.name!r}: at least one complete trial is required, it has none; "
            + (summary.note or more)
        )
    return summary.best


def best_lines(summary: Summary, option: str = "") -> list[str]:
    """Confirmed figures, score, parameters, metrics and audit of the best trial, a line each.

    Args:
        summary: of the study.
        option: what to add to a command to mean its database.

    Raises:
        StudyError: no trial is complete.
    """
    best = require_best(summary)
    definition = definition_of(summary.record, best) if summary.record else {}
    space = definition.get("space", {})
    fixed = {name: value for name, value in space.items() if not isinstance(value, dict | list)}
    ended = f", {best.status}: {best.reason}" if best.reason else ""
    confirmed = confirmation_line(summary, option=option)
    lines = [confirmed] if confirmed else []
    lines.append(f"trial {best.number}: {value_words(summary, best)}{ended}")
    if best.value is None and summary.is_pareto:
        others = ", ".join(str(trial.number) for trial in summary.ranking[1:])
        lines.append(f"on the Pareto front{f', with trials {others}' if others else ''}")
    if summary.note:
        lines.append(summary.note)
    if best.scored and definition:
        objective = definition["objective"]
        frozen = objective["convergence"] == "frozen"
        lines.append(
            f"scored between {'two frozen reads' if frozen else 'the last two passes of training'}"
            f", on {TEXTS[objective['split']]}: convergence "
            f"{share(best.scored['convergence_rate'])}, rank "
            f"{share(best.scored['effective_rank'])}"
        )
    lines += ["", "parameters"]
    lines += [f"  {name:<34}{parameter(value, 6)}" for name, value in best.params.items()]
    lines += [f"  {name:<34}{parameter(value, 6)} (fixed)" for name, value in fixed.items()]
    return [*lines, *account_lines(best)]


def account_lines(best: TrialRecord) -> list[str]:
    """Metrics and audit of a trial, a line each."""
    lines: list[str] = []
    metrics = best.metrics
    if metrics:
        lines += ["", f"{'metrics of the last pass':<36}{'train':>10}{'validation':>12}"]
        for label, key in (
            ("convergence rate", "convergence_rate"),
            ("effective rank / D", "effective_rank"),
            ("score", "score"),
        ):
            show = number if key == "score" else share
            lines.append(
                f"  {label:<34}{show(metrics[key]):>10}{show(metrics[f'validation_{key}']):>12}"
            )
    if best.audit:
        lines += ["", *_audit_lines(best.audit)]
    return lines


def _audit_lines(audit: dict[str, Any]) -> list[str]:
    baseline = audit["baseline"]
    rows = [
        ("mean norm of a context", number(audit["context_norm"], 2)),
        ("Lyapunov exponent per token", number(audit["lyapunov_exponent"], 3)),
        ("untrained: score", number(baseline["score"])),
        ("untrained: convergence rate", share(baseline["convergence_rate"])),
        ("untrained: effective rank / D", share(baseline["effective_rank"])),
        ("untrained: the same on validation", share(baseline["validation_effective_rank"])),
    ]
    lines = ["audit", *(f"  {label:<44}{value:>8}" for label, value in rows), ""]
    lines.append(f"{'last two passes of training, at 0.1':<36}{'absolute':>10}{'scale-free':>12}")
    moved = {
        "training text": (audit["absolute_convergence"], audit["scale_free_convergence"]),
        "validation text": _rates(audit.get("training_validation")),
        "held-out text": _rates(audit.get("training_held_out")),
    }
    for label, (absolute, scale_free) in moved.items():
        lines.append(f"  {label:<34}{share(absolute):>10}{share(scale_free):>12}")
    lines += [
        "",
        f"{'two reads with the final weights':<36}{'absolute':>10}{'scale-free':>12}"
        f"{'at 0.01':>10}{'rank':>10}",
    ]
    for label, key in (
        ("training text", "frozen_train"),
        ("validation text", "frozen_validation"),
        ("held-out text", "frozen_held_out"),
    ):
        frozen = audit[key]
        lines.append(
            f"  {label:<34}{share(frozen.get('absolute_convergence')):>10}"
            f"{share(frozen['convergence']):>12}{share(frozen['convergence_strict']):>10}"
            f"{share(frozen['effective_rank']):>10}"
        )
    return lines


def _rates(moved: dict[str, float] | None) -> tuple[float | None, float | None]:
    """Absolute and scale-free; None where an older version measured neither."""
    return (moved["absolute"], moved["scale_free"]) if moved else (None, None)


def best_toml(summary: Summary) -> str:
    """The study's definition with the best trial's parameters as values; `run` accepts it.

    Raises:
        StudyError: no complete trial, or another program's study.
    """
    best = require_best(summary)
    if summary.record is None:
        why = summary.note or Unread.FOREIGN.sentence
        raise StudyError(f"study {summary.name!r} has no definition to print: {why}")
    comments = [f"Trial {best.number} of study {summary.name}, score {number(best.value, 4)}."]
    if confirmed := confirmation_line(summary):
        comments.append(confirmed)
    sections = definition_of(summary.record, best)
    for name, why in strangers(sections["space"], best.params):
        raise StudyError(
            f"study {summary.name!r}, trial {best.number}: {excerpt(name)}: {why}; another "
            "program wrote it, and no definition is made of it"
        )
    return definition_toml(with_parameters(sections, best.params), comments)
