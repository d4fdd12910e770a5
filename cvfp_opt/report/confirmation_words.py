"""The results of a confirmation, in words and as a table."""

from collections.abc import Mapping

from cvfp_opt.report.confirmation import (
    Confirmation,
    ConfirmationVerdict,
    Result,
    confirmation_of,
)
from cvfp_opt.report.fitted import FittedTable
from cvfp_opt.report.rows import Cell, Rows
from cvfp_opt.report.statistics import Interval
from cvfp_opt.report.tables import terminal_table
from cvfp_opt.report.words import commands, named_values, number, parameter, share
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.retries import uuid_of
from cvfp_opt.store.record.summary import Summary

MEANINGS: Mapping[ConfirmationVerdict, str] = {
    ConfirmationVerdict.CONFIRMED: "better than the default point by more than chance, and as "
    "good as reported within chance",
    ConfirmationVerdict.SAME: "no difference from the default point beyond chance",
    ConfirmationVerdict.LESS: "the search reported more than fresh seeds bear out, or a run "
    "diverged",
    ConfirmationVerdict.WORSE: "the default point does better, by more than chance",
    ConfirmationVerdict.OPEN: "too few seeds on which it and the default point have a score",
}


def confirmation_line(
    summary: Summary, *, trial: TrialRecord | None = None, option: str = "", hint: bool = True
) -> str:
    """Write a trial's confirmed figures, or that there are none; "" where none can be.

    Args:
        summary: of the study.
        trial: which; None for the best.
        option: what to add to a command to mean the study's database.
        hint: whether to say what to type where it is not confirmed.
    """
    shown = trial or summary.best
    if shown is None or summary.record is None or summary.confirms:
        return ""
    best = summary.best is not None and shown.number == summary.best.number
    more = f"; type `{commands(summary, option)['confirm']}`" if hint else ""
    found = confirmation_of(summary)
    if found is None:
        what = "the best score" if best else f"the score of trial {shown.number}"
        return f"not confirmed yet: {what} is that of one run on one seed{more}"
    so_far = "" if found.done == found.total else f" ({found.done} of {found.total} runs so far)"
    result = found.of(uuid_of(shown, summary.record.identity))
    if result is None or result.score is None:
        what = f"trial {shown.number}, the best," if best else f"trial {shown.number}"
        if result is not None and result.diverged:
            return f"not confirmed: {what} diverged on {_seeds(result.diverged)}{so_far}{more}"
        return f"not confirmed yet: {what} has no score on fresh seeds{so_far}{more}"
    return (
        f"on {seeds_words(result)}{so_far}: {result.point.label} has score "
        f"{interval_words(result.score)}, reported {number(result.point.reported)}: "
        f"{result.verdict}"
    )


def confirmation_lines(found: Confirmation) -> list[str]:
    """Write what the table does not say, a line each."""
    lines = []
    winner = found.winner
    if winner is None:
        lines.append("The search's best trial is not among them: type the same command again.")
    elif winner.score is not None:
        lines.append(_winner_words(found, winner))
    first = found.trials[0] if found.trials else None
    if first and first is not winner and first.score is not None and winner is not None:
        lines.append(
            f"Of the trials, {first.point.label} has the highest mean; chosen among "
            f"{len(found.trials)} by these very runs, it would have to be confirmed again."
        )
    lines += _optimism_lines(found)
    verdicts = dict.fromkeys(one.verdict for one in found.trials)
    lines += [f"{one.value}: {MEANINGS[one]}." for one in verdicts]
    if found.default is not None:
        params = found.default.point.params
        values = {name: parameter(value) for name, value in params.items()}
        lines.append(f"Default point: {named_values(values)}.")
    if found.windows:
        lines.append("Each seed read a part of the text of its own, which the search did not.")
    lines.append(
        "Intervals: 95 %, Student's t over seeds; differences are paired by seed. Rules: "
        "docs/belief.md."
    )
    return lines


def _optimism_lines(found: Confirmation) -> list[str]:
    """Say how much too high the winner was reported, and how much of that is luck."""
    if found.optimism is None or found.expected_optimism is None:
        return []
    if found.optimism < 0.0:
        return [f"Optimism: none; the winner's mean here is {-found.optimism:.3f} higher."]
    above = (
        f"Optimism: the search reported the winner {found.optimism:.3f} above its mean here; that"
    )
    if found.within_one_run:
        return [f"{above} is no more than one run differs from another."]
    more = "more" if found.optimism > found.expected_optimism else "no more"
    return [
        f"{above} is {more} than luck alone gives the best of {found.num_searched} equally good "
        f"trials, {found.expected_optimism:.3f} (spread between seeds {found.spread:.4f})."
    ]


def _winner_words(found: Confirmation, winner: Result) -> str:
    assert winner.score is not None
    text = (
        f"The winner, {winner.point.label}, is {_both(winner)}: reported "
        f"{number(winner.point.reported)}, {interval_words(winner.score)} on {seeds_words(winner)}"
    )
    difference = winner.difference
    if difference is not None and difference.probability_positive is not None:
        text += (
            f"; {signed_words(difference)} against the default point, better with probability "
            f"{share(difference.probability_positive)}"
        )
    if winner.gain is not None:
        text += f"; {signed_words(winner.gain)} against the untrained net"
    return f"{text}."


def _both(winner: Result) -> str:
    """Write a verdict; of one that is worse than reported, also how it stands otherwise."""
    low = winner.difference.low if winner.difference else None
    if winner.verdict is ConfirmationVerdict.LESS and low is not None:
        better = "better" if low > 0.0 else "not known to be better"
        return f"{winner.verdict}, and {better} than the default point"
    return str(winner.verdict)


def confirmation_rows(found: Confirmation) -> Rows:
    """List the figures and the verdict of each point."""
    return Rows(
        columns=(
            "point",
            "reported",
            "mean",
            "95 % interval",
            "seeds",
            "against default",
            "P(better)",
            "verdict",
        ),
        rows=tuple(map(_row, found.results)),
        formats={"reported": number, "mean": number, "P(better)": share},
    )


def _row(result: Result) -> tuple[Cell, ...]:
    score, difference = result.score, result.difference
    return (
        result.point.label,
        result.point.reported,
        score.mean if score else None,
        _range(score),
        f"{len(result.scores)}{f', {result.diverged} diverged' * bool(result.diverged)}",
        signed_words(difference) if difference else "-",
        difference.probability_positive if difference else None,
        result.verdict.value if result.point.trial is not None else "",
    )


def confirmation_table(found: Confirmation) -> FittedTable:
    """Draw a row for each point."""
    rows = confirmation_rows(found)
    least = [
        rows.columns.index(name) for name in ("P(better)", "seeds", "against default", "reported")
    ]
    return terminal_table(rows.columns, rows.words(), left=(0, 7), wrap=(7,), least=least)


def _range(interval: Interval | None) -> str:
    if interval is None or interval.low is None:
        return "-"
    return f"{number(interval.low)} to {number(interval.high)}"


def interval_words(interval: Interval) -> str:
    """Write a mean with its interval, if that is known."""
    known = interval.low is not None
    return number(interval.mean) + (f" (95 % interval {_range(interval)})" if known else "")


def signed_words(interval: Interval) -> str:
    """Write a difference with its interval, if that is known."""
    text = f"{interval.mean:+.3f}"
    if interval.low is None or interval.high is None:
        return text
    return f"{text} ({interval.low:+.3f} to {interval.high:+.3f})"


def seeds_words(result: Result) -> str:
    """Say on how many seeds a point has a score."""
    return _seeds(len(result.scores))


def _seeds(count: int) -> str:
    return "1 fresh seed" if count == 1 else f"{count} fresh seeds"
