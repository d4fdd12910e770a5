"""The notes on the pages of a study and of its mirrors."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from optuna.trial import FrozenTrial

from cvfp_opt.escaping import markdown, markdown_block
from cvfp_opt.report.confirmation import confirmation_of
from cvfp_opt.report.confirmation_words import (
    confirmation_line,
    confirmation_lines,
    confirmation_rows,
)
from cvfp_opt.report.judgement import judge
from cvfp_opt.report.rows import Rows, markdown_table
from cvfp_opt.report.toml import definition_toml
from cvfp_opt.report.words import (
    commands,
    counts_line,
    moment,
    named_values,
    number,
    sentence,
    share,
    value_words,
)
from cvfp_opt.store.database.number_checks import is_finite
from cvfp_opt.store.doctor.finding import counted
from cvfp_opt.store.record.definition_sections import completed
from cvfp_opt.store.record.mirrors import SOURCE_TRIAL, Mirror
from cvfp_opt.store.record.records import StudyRecord
from cvfp_opt.store.record.summary import Summary

# Ends our part of a note: what stands below it is the user's own, and stays.
BORDER = "*Written by cvfp-opt. What you write below this line stays.*"

# Trials of a front that its note lists.
_MOST_OF_FRONT = 20

_MIRRORED = {
    "pareto": "Convergence rate against effective rank, as the objective scored them: a high rank "
    "is to be had without any convergence, and convergence without any rank.",
    "pareto-audited": "What the final net does on text that it never saw: the share of tokens "
    "whose context is the same on two reads with frozen weights, against effective rank.",
}


def with_own_words(note: str, before: str) -> str:
    """Put a note before what the user wrote on the page."""
    _, border, own = before.rpartition(BORDER)
    own = own if border else before
    return f"{note}\n\n{BORDER}\n\n{own.strip()}".rstrip()


def study_note(summary: Summary, option: str, mirrors: dict[str, int]) -> str:
    """Write the note of a study: judgement, how to go on, data, protocol, definition.

    Args:
        summary: of the study.
        option: what to add to a command to mean its database.
        mirrors: names and ids of its mirrors.
    """
    lines = [f"# {markdown(summary.name)}", "", markdown(judge(summary)), ""]
    lines += [f"Trials: {markdown(counts_line(summary.counts, 'none yet'))}."]
    if summary.best is not None:
        words = f"trial {summary.best.number}, {value_words(summary, summary.best)}"
        lines.append(f"Best: {markdown(words)}.")
    confirmed = confirmation_line(summary, hint=False)
    if confirmed:
        lines.append(markdown(sentence(confirmed)))
    if mirrors:
        links = [f"[{markdown(n)}](/dashboard/studies/{i})" for n, i in mirrors.items()]
        lines.append(f"Pareto fronts: {', '.join(links)}.")
    shown = ("more", "best", "confirm", "status")
    return "\n".join([*lines, *_closing_lines(summary, option, shown)])


def _closing_lines(summary: Summary, option: str, shown: Iterable[str]) -> list[str]:
    """Write what to type, and the study's record."""
    typed = commands(summary, option)
    lines = ["", "## Go on, look closer", ""]
    lines += markdown_block("\n".join(typed[one] for one in shown), "console")
    return lines + (_record_lines(summary.record) if summary.record is not None else [])


def confirmation_note(
    summary: Summary, source: Summary | None, source_id: int | None, option: str
) -> str:
    """Write the note of a confirmation: its verdict, which no single run of it has.

    Args:
        summary: of the confirmation.
        source: the study that it confirms; None where that is gone.
        source_id: of that study.
        option: what to add to a command to mean the database.
    """
    link = markdown(summary.confirms)
    if source_id is not None:
        link = f"[{link}](/dashboard/studies/{source_id})"
    lines = [f"# {markdown(summary.name)}", "", f"The best points of {link} on fresh seeds.", ""]
    found = None if source is None else confirmation_of(source)
    if source is None or found is None:
        lines.append(markdown("No verdict: the study that it confirms is not here."))
    else:
        verdict = confirmation_line(source, hint=False)
        lines += [f"**{markdown(sentence(verdict))}**", ""] if verdict else []
        lines += [*markdown_table(confirmation_rows(found)), ""]
        lines += [f"- {markdown(line)}" for line in confirmation_lines(found)]
    lines += ["", f"Runs: {markdown(counts_line(summary.counts, 'none yet'))}."]
    return "\n".join([*lines, *_closing_lines(summary, option, ("confirm", "status"))])


@dataclass(frozen=True, kw_only=True)
class MirroredTrial:
    """A trial of a mirror.

    Attributes:
        number: in the mirror.
        source: number of the trial that it is a copy of.
        score: of that trial; None if it is unknown.
        values: of the two objectives.
    """

    number: int
    source: int
    score: float | None
    values: Sequence[float]

    @classmethod
    def of(cls, trial: FrozenTrial) -> Self:
        """Read one."""
        return cls(
            number=trial.number,
            source=trial.user_attrs[SOURCE_TRIAL],
            score=score if is_finite(score := trial.user_attrs.get("score")) else None,
            values=tuple(trial.values),
        )


def mirror_note(
    mirror: Mirror, source: str, source_id: int, front: Sequence[MirroredTrial]
) -> str:
    """Write the note of a mirror, with the trials on the front by their numbers in the source.

    Args:
        mirror: which.
        source: name of the study that it mirrors.
        source_id: of that study.
        front: the trials on the front, in any order; those with the best scores are listed.
    """
    front = sorted(front, key=lambda one: -math.inf if one.score is None else one.score)[::-1]
    link = f"[{markdown(source)}](/dashboard/studies/{source_id})"
    lines = [
        f"# {markdown(source)}: {markdown(' against '.join(mirror.metric_names))}",
        "",
        markdown(_MIRRORED[mirror.suffix]),
        "",
        f"A copy of the complete trials of {link}, which have other numbers here: `source_trial`, "
        "and a trial's note, say which one it is there. Nothing is sampled here; it goes and is "
        "renamed with that study.",
    ]
    if front:
        rows = Rows(
            columns=("trial there", "number here", "score", *mirror.metric_names),
            rows=tuple(
                (one.source, one.number, one.score, *one.values) for one in front[:_MOST_OF_FRONT]
            ),
            formats={"score": number} | dict.fromkeys(mirror.metric_names, share),
        )
        lines += ["", "## The front", "", *markdown_table(rows)]
        if more := len(front) - len(rows.rows):
            lines += ["", f"And {more} more."]
    return "\n".join(lines)


def mirrored_trial_note(trial: MirroredTrial, source: str, source_id: int) -> str:
    """Write the note of a trial of a mirror: which trial it is a copy of."""
    path = f"/dashboard/studies/{source_id}/trials?numbers={trial.source}"
    return f"A copy of [trial {trial.source}]({path}) of {markdown(source)}."


def _record_lines(record: StudyRecord) -> list[str]:
    definition = completed(record.definition)
    data, training = definition.get("data", {}), definition.get("training", {})
    model, search = definition.get("model", {}), definition["search"]
    objective = definition["objective"]
    at = record.environment
    sources = [(what, named_values(source)) for what, source in record.sources.items()]
    layers = counted(model.get("num_layers", "?"), "layer")
    size = f"{data.get('train_tokens', '?')} training tokens, {layers}, "
    size += (
        f"context {model.get('context_size', '?')}, embedding {model.get('embedding_size', '?')}"
    )
    rows = [
        ("size", size),
        ("text", f"digest {record.data_digest}"),
        *sources,
        (
            "training",
            f"{training.get('trainer', '?')}, {training.get('num_iterations', '?')} iterations, "
            f"minibatch {training.get('minibatch_size', '?')}",
        ),
        ("objective", named_values(objective)),
        ("search", named_values(search)),
        ("created", f"{moment(record.created)} on {at.get('host', 'an unknown host')}"),
        ("versions", named_values(at.get("versions", {}))),
        ("uuid", record.identity),
    ]
    return [
        *(
            "",
            "## Data and protocol",
            "",
            *markdown_table(Rows(columns=("", ""), rows=tuple(rows))),
        ),
        *("", "## Definition", "", f"Digest {record.definition_digest}.", ""),
        *markdown_block(definition_toml(definition).rstrip(), "toml"),
    ]
