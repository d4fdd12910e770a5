"""The notes on the pages of a study and of its mirrors."""

from cvfp_opt.escaping import markdown, markdown_block
from cvfp_opt.report.confirmation_words import confirmation_line
from cvfp_opt.report.judgement import judge
from cvfp_opt.report.rows import Rows, markdown_table
from cvfp_opt.report.toml import definition_toml
from cvfp_opt.report.words import (
    commands,
    counts_line,
    moment,
    named_values,
    sentence,
    value_words,
)
from cvfp_opt.store.record.definition_sections import completed
from cvfp_opt.store.record.mirrors import Mirror
from cvfp_opt.store.record.records import StudyRecord
from cvfp_opt.store.record.summary import Summary

# Ends our part of a note: what stands below it is the user's own, and stays.
BORDER = "*Written by cvfp-opt. What you write below this line stays.*"

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
    lines += ["", "## Go on, look closer", ""]
    shown = ("confirm", "status") if summary.confirms else ("more", "best", "confirm", "status")
    typed = commands(summary, option)
    lines += markdown_block("\n".join(typed[one] for one in shown), "console")
    if summary.record is not None:
        lines += _record_lines(summary.record)
    return "\n".join(lines)


def mirror_note(mirror: Mirror, source: str, source_id: int) -> str:
    """Write the note of a mirror."""
    link = f"[{markdown(source)}](/dashboard/studies/{source_id})"
    return "\n".join(
        [
            f"# {markdown(source)}: {markdown(' against '.join(mirror.metric_names))}",
            "",
            markdown(_MIRRORED[mirror.suffix]),
            "",
            f"A copy of the complete trials of {link}: "
            "`source_trial` is a trial's number there. Nothing is sampled here; it goes and is "
            "renamed with that study.",
        ]
    )


def _record_lines(record: StudyRecord) -> list[str]:
    definition = completed(record.definition)
    data, training = definition.get("data", {}), definition.get("training", {})
    model, search = definition.get("model", {}), definition["search"]
    objective = definition["objective"]
    at = record.environment
    sources = [(what, named_values(source)) for what, source in record.sources.items()]
    size = (
        f"{data.get('train_tokens', '?')} training tokens, {model.get('num_layers', '?')} layers, "
    )
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
