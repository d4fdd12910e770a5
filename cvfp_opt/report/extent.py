"""How far a study is: of how many trials, whether any may begin, how long it still takes."""

from cvfp_opt.escaping import positional
from cvfp_opt.report.words import counts_line, duration
from cvfp_opt.store.record.queue_entry import QueueState
from cvfp_opt.store.record.summary import Summary

# The latest trials say best how long the next ones take.
_LATEST = 10


def trials_words(summary: Summary, none: str = "none yet") -> str:
    """Write finished trials, the total, and the count of each state, as far as they are known."""
    counts = counts_line(summary.counts, none)
    total = summary.queue.total
    return counts if total is None else f"{summary.num_finished} of {total}: {counts}"


def extent_lines(summary: Summary, option: str = "") -> list[str]:
    """Say that no trial may begin, or how long the others take; nothing if neither is known.

    Args:
        summary: of the study.
        option: what to add to a command to mean its database.
    """
    state = summary.queue.state
    if state is not QueueState.OPEN:
        resume = f"cvfp-opt study resume{option} {positional(summary.name)}"
        return [f"{state.value}: no trial begins; to go on, type `{resume}`"]
    left = seconds_left(summary)
    return [] if left is None else [f"about {duration(left)} left, as fast as the latest trials"]


def seconds_left(summary: Summary) -> float | None:
    """Estimate the time until the total, by the latest trials and by how many run at once."""
    running, total = summary.counts["running"], summary.queue.total
    if total is None or not running:
        return None
    times = [
        (trial.completed, trial.completed - trial.started)
        for trial in summary.trials
        if trial.finished and trial.started is not None and trial.completed is not None
    ]
    latest = [spent for _, spent in sorted(times)[-_LATEST:]]
    if not latest:
        return None
    # those that run are half done on average
    trials = max(0.0, total - summary.num_finished - running / 2)
    return trials / running * sum(latest) / len(latest)
