"""The winner: in words, as JSON, and as a definition with its parameters fixed."""

from typing import Annotated, Any, TypedDict

from cvfp_opt.errors import StudyError, StudyMissing
from cvfp_opt.escaping import excerpt, quoted
from cvfp_opt.report.confirmation import ConfirmationJson, confirmation_json
from cvfp_opt.report.confirmation_words import confirmation_line
from cvfp_opt.report.judgement import judge
from cvfp_opt.report.other_scores import CombinerAudit, SentenceJson, audit_combiners
from cvfp_opt.report.toml import definition_toml
from cvfp_opt.report.trial import account_lines, trial_json
from cvfp_opt.report.words import (
    TEXTS,
    fixed_parameters,
    number,
    parameter,
    reason_words,
    share,
    trial_definition,
    value_words,
)
from cvfp_opt.store.record.definition_sections import Sections, with_parameters
from cvfp_opt.store.record.point_checks import strangers
from cvfp_opt.store.record.records import TrialRecord, Unread, definition_of
from cvfp_opt.store.record.summary import Summary


def require_best(summary: Summary) -> TrialRecord:
    """Return the best trial.

    Raises:
        StudyError: no trial is complete.
    """
    if summary.best is None:
        ended = summary.num_finished
        again = f" --n-trials +{ended}" if ended else ""
        more = f"type `cvfp-opt run{summary.option} --study-name {quoted(summary.name)}{again}`"
        if ended:
            more = f"all {ended} that ended were pruned or failed; for as many more {more}"
        raise StudyMissing(
            f"study {summary.name!r}: at least one complete trial is required, it has none; "
            + (summary.note or more)
        )
    return summary.best


class BestJson(TypedDict):
    """The best trial in full, and whether to believe it.

    Attributes:
        judgement: whether to believe it, in one or two sentences.
        combiners: who would win if the score were combined otherwise; null where it has no two
            parts.
        confirmation: what fresh seeds said of the study's best trials; null if nobody has asked.
    """

    judgement: str
    combiners: Annotated[dict[str, Any], CombinerAudit, SentenceJson] | None
    confirmation: ConfirmationJson | None


def best_json(summary: Summary) -> dict[str, Any]:
    """Convert the best trial and what is to be said of it to plain JSON values.

    Raises:
        StudyError: no trial is complete.
    """
    best = require_best(summary)
    combined = audit_combiners(summary.trials, best)
    more: BestJson = {
        "judgement": judge(summary),
        "combiners": combined.to_dict() if combined else None,
        "confirmation": confirmation_json(summary),
    }
    return {**trial_json(summary, best), **more}


def best_lines(summary: Summary, option: str = "", width: int | None = None) -> list[str]:
    """Write confirmed figures, score, parameters, metrics and audit of the best trial.

    Args:
        summary: of the study.
        option: what to add to a command to mean its database.
        width: of a line of a table; None for as much as it takes.

    Raises:
        StudyError: no trial is complete.
    """
    best = require_best(summary)
    definition = trial_definition(summary, best)
    ended = f", {best.status}: {reason_words(best)}" if best.reason else ""
    confirmed = confirmation_line(summary, option=option)
    lines = [confirmed] if confirmed else []
    lines.append(f"trial {best.number}: {value_words(summary, best)}{ended}")
    if best.value is None and summary.is_pareto:
        others = ", ".join(str(trial.number) for trial in summary.ranking[1:])
        plural = "s" if len(summary.ranking) > 2 else ""
        others = f", with trial{plural} {others}" if others else ""
        lines.append(f"on the Pareto front{others}")
    if summary.note:
        lines.append(summary.note)
    if best.scored and definition:
        objective = definition["objective"]
        frozen = objective["convergence"] == "frozen"
        between = "two frozen reads" if frozen else "the last two passes of training"
        lines.append(
            f"scored between {between}, on {TEXTS[objective['split']]}: convergence "
            f"{share(best.scored['convergence_rate'])}, rank "
            f"{share(best.scored['effective_rank'])}"
        )
    lines += ["", "parameters"]
    lines += [f"  {name:<34}{parameter(value, 6)}" for name, value in best.params.items()]
    lines += [
        f"  {name:<34}{parameter(value, 6)} (fixed)"
        for name, value in fixed_parameters(definition, best).items()
    ]
    return [*lines, *account_lines(best, width)]


def best_toml(summary: Summary) -> str:
    """Write the study's definition with the best trial's parameters as values; `run` takes it.

    Raises:
        StudyError: no complete trial, or another program's study.
    """
    best = require_best(summary)
    sections = fixed_sections(summary, best)
    comments = [f"Trial {best.number} of study {summary.name}, score {number(best.value, 4)}."]
    if confirmed := confirmation_line(summary, option=summary.option):
        comments.append(confirmed)
    return definition_toml(sections, comments)


def fixed_sections(summary: Summary, trial: TrialRecord) -> Sections:
    """Give the sections of the study's definition, with a trial's parameters as values.

    Raises:
        StudyError: another program's study or trial.
    """
    if summary.record is None:
        why = summary.note or Unread.FOREIGN.sentence
        raise StudyError(f"study {summary.name!r} has no definition to print: {why}")
    sections = definition_of(summary.record, trial)
    for name, why in strangers(sections["space"], trial.params):
        raise StudyError(
            f"study {summary.name!r}, trial {trial.number}: {excerpt(name)}: {why}; another "
            "program wrote it, and no definition is made of it"
        )
    sections = sections | {"search": {**sections["search"], "first_points": []}}
    return with_parameters(sections, trial.params)  # a single point has none to begin with
