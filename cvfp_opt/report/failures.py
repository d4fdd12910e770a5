"""Trials that were pruned or failed, and why; and the time that all trials took."""

from cvfp_opt.report.rows import Cell, Rows
from cvfp_opt.report.words import duration, reason_words, share
from cvfp_opt.store.doctor.finding import counted
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import Summary


def pruned_and_failed(summary: Summary) -> Rows:
    """List each trial that was pruned or failed, with its reason."""
    return Rows(
        columns=("trial", "state", "passes", "why"),
        rows=tuple(
            (trial.number, trial.state, len(trial.iterations or trial.reported), _why(trial))
            for trial in summary.trials
            if trial.state in ("pruned", "fail")
        ),
    )


def pruned_and_failed_sentence(summary: Summary) -> str:
    """Say how many trials were pruned or failed."""
    counts = summary.counts
    ended = counts["complete"] + counts["pruned"] + counts["fail"]
    if not ended:
        return "No trial has ended yet."
    if not counts["pruned"] and not counts["fail"]:
        if ended == 1:
            return "The only trial that ended was neither pruned nor failed."
        return f"None of {ended} trials was pruned or failed."
    trials, were = counted(ended, "trial"), "was" if counts["pruned"] == 1 else "were"
    return (
        f"Of {trials} that ended, {counts['pruned']} {were} pruned (stopped early) and "
        f"{counts['fail']} failed."
    )


def costs(summary: Summary) -> Rows:
    """List the wall time of each phase, longest first."""
    seconds = summary.seconds
    total = sum(seconds.values())
    rows: list[tuple[Cell, ...]] = [
        (phase, round(spent, 3), spent / total if total else None)
        for phase, spent in seconds.items()
    ]
    return Rows(columns=("phase", "seconds", "share"), rows=tuple(rows), formats={"share": share})


def costs_sentence(summary: Summary) -> str:
    """Say what all trials took, and one of them."""
    total = sum(summary.seconds.values())
    count = sum(bool(trial.seconds) for trial in summary.trials)
    if not count:
        return "No trial has left its times."
    lost = sum(sum(t.seconds.values()) for t in summary.trials if t.state in ("pruned", "fail"))
    return (
        f"{duration(total)} of computing in {counted(count, 'trial')}, "
        f"{duration(total / count)} each; "
        f"{lost / total if total else 0:.0%} of it in trials that were pruned or failed."
    )


def _why(trial: TrialRecord) -> str:
    if trial.status and trial.reason:
        return f"{trial.status}: {reason_words(trial)}"
    return trial.status or reason_words(trial) or "no reason is stored"
