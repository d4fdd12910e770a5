"""How far a study is: of how many trials, whether any may begin, how long it still takes."""

import time
from collections.abc import Mapping
from typing import Any

from cvfp_opt.escaping import positional
from cvfp_opt.report.time_left import Span, time_left
from cvfp_opt.report.words import commands, counts_line, duration
from cvfp_opt.store.record.queue_entry import QueueState
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import Summary


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
    left = seconds_left(summary, time.time())
    return [] if left is None else [left_words(left)]


def left_words(left: float) -> str:
    """Write a time that is left, which nobody knows to a tenth of a second."""
    if left < 1.0:
        return "almost done"
    minutes, seconds = divmod(round(left), 60)
    return f"about {duration(60 * minutes + seconds) if minutes else f'{seconds} s'} left"


def seconds_left(summary: Summary, now: float) -> float | None:
    """Estimate the time until the total; None where nothing runs, or nobody said how many.

    Args:
        summary: of the study.
        now: in epoch seconds.
    """
    running, total = summary.counts["running"], summary.queue.total
    if total is None or not running:
        return None
    passes = num_passes(summary)
    search = summary.record.definition.get("search", {}) if summary.record else {}
    first = first_pruned(search, total)
    begun = [trial for trial in summary.trials if trial.started is not None]
    ended = [
        Span(trial.started, trial.completed, spared=trial.number < first)
        for trial in begun
        if trial.finished and trial.started is not None and trial.completed is not None
    ]
    now = max([now, *(span.ended for span in ended)])  # of another machine's clock
    runs = [
        Span(
            trial.started,
            max(now, trial.started),
            _share(trial, passes),
            spared=trial.number < first,
        )
        for trial in begun
        if trial.state == "running" and trial.started is not None
    ]
    return time_left(ended, runs, total - summary.num_finished)


def first_pruned(search: Mapping[str, Any], total: int) -> int:
    """Give the number of the first trial that can be pruned; 0 where none will be.

    Args:
        search: that section of a definition.
        total: of the study's trials.
    """
    number = search.get("num_pruner_startup_trials", 0)
    prunes = search.get("pruner", "none") != "none"
    return number if prunes and isinstance(number, int) and number < total else 0


def num_passes(summary: Summary) -> int | None:
    """Give the number of passes of a trial; None where it is not known."""
    training = summary.record.definition.get("training", {}) if summary.record else {}
    number = training.get("num_iterations")
    return number if isinstance(number, int) and number > 0 else None


def _share(trial: TrialRecord, passes: int | None) -> float:
    """Estimate how much of a running trial is done; half of it where that is not known."""
    return 0.5 if passes is None else min(0.95, len(trial.iterations) / passes)


def waiting_words(summary: Summary, option: str = "") -> tuple[str, str] | None:
    """Say how many enqueued trials wait, and which command runs them; None if none does.

    Args:
        summary: of the study.
        option: what to add to a command to mean its database.
    """
    waiting, running = summary.counts["waiting"], summary.counts["running"]
    if not waiting:
        return None
    run, total = commands(summary, option)["run"], summary.queue.total
    if total is None or summary.num_finished + running + waiting > total:
        run += f" --n-trials +{waiting + running}"
    words = "1 trial waits" if waiting == 1 else f"{waiting} trials wait"
    return f"{words}; to run what waits:", run
