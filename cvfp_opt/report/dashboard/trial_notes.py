"""The notes on the pages of trials."""

from collections.abc import Iterator

from cvfp_opt.report.dashboard.markdown import plain, table
from cvfp_opt.report.judgement import judge_trial
from cvfp_opt.report.tables import duration, number, parameter, share, value_words
from cvfp_opt.store.record.records import TrialRecord, definition_of
from cvfp_opt.store.record.summary import Summary, untrained_score

# Of an error, say, or of a setting that is a list.
_MAX_WORDS = 300
_MAX_SETTINGS = 12


def trial_note(summary: Summary, trial: TrialRecord, picture: str = "") -> str:
    """The note of a trial that has ended: how, its audit in words, its settings, its curves.

    Args:
        picture: the path of its curves on the server; empty where it has none.
    """
    worth = f", {value_words(summary, trial)}" if trial.values else ""
    lines = [f"**{plain(f'{trial.state}{worth}')}**"]
    if trial.reason:
        lines += ["", f"Ended: {_short(f'{trial.status}, {trial.reason}')}."]
    if trial.state == "complete" and trial.value is not None:
        definition = definition_of(summary.record, trial) if summary.record else {}
        words = judge_trial(trial, definition, subject=f"Trial {trial.number}")
        lines += ["", plain(words[0].upper() + words[1:])]
    rows = list(_rows(trial))
    lines += ["", *table(rows)] if rows else []
    lines += ["", f"![its curves, from pass to pass]({picture})"] if picture else []
    return "\n".join(lines)


def _rows(trial: TrialRecord) -> Iterator[tuple[str, str]]:
    settings = list(trial.params.items())
    for name, value in settings[:_MAX_SETTINGS]:
        yield name, str(parameter(value, 6))[:_MAX_WORDS]
    if len(settings) > _MAX_SETTINGS:
        yield "more settings", str(len(settings) - _MAX_SETTINGS)
    if trial.scored:
        yield "convergence", share(trial.scored.get("convergence_rate"))
        yield "effective rank / D", share(trial.scored.get("effective_rank"))
    if trial.audit:
        yield "score of the untrained net", number(untrained_score(trial))
    if trial.seconds:
        yield "time", duration(sum(trial.seconds.values()))


def _short(text: str) -> str:
    return plain(text[:_MAX_WORDS] + ("…" if len(text) > _MAX_WORDS else ""))
