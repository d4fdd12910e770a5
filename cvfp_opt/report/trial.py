"""A trial in full."""

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

from cvfp_opt.report.aligned import text_lines
from cvfp_opt.report.trial_rows import account_tables
from cvfp_opt.report.words import (
    against_words,
    duration,
    moment,
    named_values,
    parameter,
    reason_words,
    value_words,
)
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.retries import retry_chain, retry_chains, uuid_of
from cvfp_opt.store.record.summary import Summary
from cvfp_opt.store.record.trial_attributes import StoredEnvironment


class NamedTrialJson(TypedDict):
    """A trial in full, with whose it is and what it repeats.

    Attributes:
        study_name: name of its study.
        note: why something is missing; empty if nothing is.
        uuid: its own name, the same in every copy.
        retries: the trials at its point that repeat each other, itself among them.
    """

    study_name: str
    note: str
    uuid: NotRequired[str]
    retries: NotRequired[list[int]]


def trial_lines(summary: Summary, trial: TrialRecord, width: int | None = None) -> list[str]:
    """Write state, parameters, what ran a trial and who it is, metrics and audit, a line each.

    Args:
        summary: of its study.
        trial: to be shown.
        width: of a line of a table; None for as much as it takes.
    """
    worth = f", {value_words(summary, trial)}" if trial.values else ""
    lines = [f"trial {trial.number} of study {summary.name}: {trial.state}{worth}"]
    if summary.note:
        lines.append(summary.note)
    if trial.status:
        lines.append(f"ended: {trial.status}{f': {reason_words(trial)}' if trial.reason else ''}")
    if not trial.feasible:
        lines.append(f"cannot be the best while another can: {against_words(trial)}")
    so_far = " so far" if trial.state == "waiting" else ""
    lines += ["", f"parameters{so_far}" if trial.params else "no parameters yet"]
    lines += [f"  {name:<34}{parameter(value, 6)}" for name, value in trial.params.items()]
    lines += ["", *_identity_lines(summary, trial)] if summary.record else []
    lines += _environment_lines(trial.environment)
    if trial.seconds:
        total = sum(trial.seconds.values())
        phases = ", ".join(f"{name} {duration(s)}" for name, s in trial.seconds.items())
        lines.append(f"  {'time':<34}{duration(total)}: {phases}")
    return [*lines, *account_lines(trial, width)]


def account_lines(best: TrialRecord, width: int | None = None) -> list[str]:
    """Write metrics and audit of a trial, a line each; a blank one before each table."""
    return [line for rows in account_tables(best) for line in ("", *text_lines(rows, width))]


def trial_json(summary: Summary, trial: TrialRecord) -> dict[str, Any]:
    """Convert a trial to plain JSON values."""
    return trials_json(summary, [trial])[0]


def trials_json(summary: Summary, trials: Sequence[TrialRecord]) -> list[dict[str, Any]]:
    """Convert some trials of a study to plain JSON values."""
    rows: list[dict[str, Any]] = [
        {"study_name": summary.name, **trial.to_dict(), "note": summary.note} for trial in trials
    ]
    if summary.record is not None:
        identity = summary.record.identity
        chains = retry_chains(summary.trials, identity)
        for row, trial in zip(rows, trials, strict=True):
            row |= {"uuid": uuid_of(trial, identity), "retries": chains[trial.number]}
    return rows


def _identity_lines(summary: Summary, trial: TrialRecord) -> list[str]:
    assert summary.record is not None
    identity = summary.record.identity
    known = trial.identity
    lines = [
        "identity",
        f"  {'uuid':<34}{uuid_of(trial, identity)}",
        f"  {'seed':<34}{known.get('seed', summary.record.seed)}, "
        f"number {known.get('number', trial.number)}",
    ]
    chain = retry_chain(summary.trials, identity, trial.number)
    if len(chain) > 1:
        lines.append(f"  {'trials at this point':<34}{', '.join(map(str, chain))}")
    return lines


def _environment_lines(environment: StoredEnvironment) -> list[str]:
    shown = {}
    for key, value in environment.items():
        if key == "versions" and isinstance(value, dict):
            shown[key] = named_values(value)
        elif key == "finished" and isinstance(value, int | float):
            shown[key] = moment(value)
        elif key == "drift" and isinstance(value, dict):
            shown["drift allowed"] = ", ".join(value.get("keys", {}))
        else:
            shown[key] = str(value)
    lines = [f"  {key.replace('_', ' '):<34}{value}" for key, value in shown.items()]
    return ["", "environment", *lines] if lines else []
