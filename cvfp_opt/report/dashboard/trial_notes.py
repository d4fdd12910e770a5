"""The notes on the pages of trials."""

from collections.abc import Iterator

from cvfp_opt.escaping import markdown
from cvfp_opt.report.judgement import judge_trial
from cvfp_opt.report.rows import Rows, markdown_table
from cvfp_opt.report.trial_rows import scored_quantities
from cvfp_opt.report.words import duration, parameter, reason_words, trial_definition, value_words
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import Summary

# Characters shown of an error, say, or of a setting that is a list; and settings shown.
_MAX_WORDS = 300
_MAX_SETTINGS = 12


def trial_note(summary: Summary, trial: TrialRecord, picture: str = "") -> str:
    """Write the note of an ended trial: how it ended, its audit, its settings, its curves.

    Args:
        picture: the path of its curves on the server; empty where it has none.
    """
    worth = f", {value_words(summary, trial)}" if trial.values else ""
    lines = [f"**{markdown(f'{trial.state}{worth}')}**"]
    if trial.reason:
        lines += ["", f"Ended: {_short(f'{trial.status}, {reason_words(trial)}')}."]
    if trial.state == "complete" and trial.value is not None:
        definition = trial_definition(summary, trial)
        words = judge_trial(trial, definition, subject=f"Trial {trial.number}")
        lines += ["", markdown(words[0].upper() + words[1:])]
    rows = list(_rows(trial))
    lines += ["", *markdown_table(Rows(columns=("", ""), rows=tuple(rows)))] if rows else []
    lines += ["", f"![its curves, from pass to pass]({picture})"] if picture else []
    return "\n".join(lines)


def _rows(trial: TrialRecord) -> Iterator[tuple[str, str]]:
    settings = list(trial.params.items())
    for name, value in settings[:_MAX_SETTINGS]:
        yield name, str(parameter(value, 6))[:_MAX_WORDS]
    if len(settings) > _MAX_SETTINGS:
        yield "more settings", str(len(settings) - _MAX_SETTINGS)
    _, untrained, *rates = scored_quantities([trial])
    if trial.scored:
        yield from ((one.label, one.write(one.take(trial))) for one in rates)
    if trial.audit:
        yield f"score of the {untrained.label}", untrained.write(untrained.take(trial))
    if trial.seconds:
        yield "time", duration(sum(trial.seconds.values()))


def _short(text: str) -> str:
    return markdown(text[:_MAX_WORDS] + ("…" if len(text) > _MAX_WORDS else ""))
