"""The state of a study, in a few lines and as JSON."""

from cvfp_opt.report.confirmation import ConfirmationJson, confirmation_json
from cvfp_opt.report.environment_groups import environment_groups, groups_line
from cvfp_opt.report.extent import extent_lines, trials_words
from cvfp_opt.report.judgement import judge
from cvfp_opt.report.words import duration, moment, number, reason_words, value_words
from cvfp_opt.store.record.studies import objectives_words
from cvfp_opt.store.record.summary import Summary, SummaryJson, untrained_score


class StatusJson(SummaryJson):
    """How far a study is, its best trials, and whether to believe them.

    Attributes:
        judgement: whether to believe the winner, in one or two sentences.
        confirmation: what fresh seeds said of its best trials; null if nobody has asked.
    """

    judgement: str
    confirmation: ConfirmationJson | None


def status_json(summary: Summary) -> StatusJson:
    """Convert a study's state, its best trials and what is to be said of them to plain JSON."""
    return {
        **summary.to_dict(),
        "judgement": judge(summary),
        "confirmation": confirmation_json(summary),
    }


def drift_lines(summary: Summary) -> list[str]:
    """Say what the trials ran on, if that changed, and what was allowed to; a line each."""
    line = groups_line(environment_groups(summary.trials))
    lines = [line] if line else []
    for one in summary.drift:
        names = ", ".join(key.removeprefix("definition.") for key in one.what)
        lines.append(f"drift allowed by {one.who} on {moment(one.when)}: {names}")
    return lines


def status_lines(summary: Summary, history: str = "", option: str = "") -> list[str]:
    """Write a study's state in a few lines.

    Args:
        summary: of the study.
        history: a line of it, see report.history.
        option: what to add to a command to mean its database.
    """
    lines = [
        f"study {summary.name} in {summary.url}",
        f"trials: {trials_words(summary)}",
        *extent_lines(summary, option),
    ]
    if summary.note:
        lines.append(summary.note)
    best = summary.best
    if summary.is_pareto:
        numbers = ", ".join(str(trial.number) for trial in summary.ranking)
        trials = "trials" if len(summary.ranking) > 1 else "trial"
        front = f"on the Pareto front: {f'{trials} {numbers}' if numbers else 'no trial yet'}"
        lines.append(f"{objectives_words(len(summary.directions))}; {front}")
    if best is not None and best.value is not None:
        of = "untrained score" if best.downstream else "untrained"
        untrained = f" ({of} {number(untrained_score(best))})" if best.audit else ""
        lines.append(f"best: trial {best.number} with {value_words(summary, best)}{untrained}")
    lines += [history] if history else []
    lines += drift_lines(summary)
    seconds = summary.seconds
    total = sum(seconds.values())
    if total > 0:
        shares = ", ".join(f"{phase} {spent / total:.1%}" for phase, spent in seconds.items())
        count = sum(bool(trial.seconds) for trial in summary.trials)
        lines.append(
            f"time: {duration(total)} in {count} trial{'s' if count != 1 else ''}, "
            f"{duration(total / count)} each: {shares}"
        )
    lines += [
        f"trial {trial.number} failed"
        f"{f' ({trial.status})' if trial.status else ''}: "
        f"{reason_words(trial) if trial.status else 'no reason is stored'}"
        for trial in summary.trials
        if trial.state == "fail"
    ][-5:]
    return lines
