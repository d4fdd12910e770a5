"""The notes on the pages of a study and of its mirrors."""

from cvfp_opt.escaping import quoted
from cvfp_opt.report.confirmation import confirmation_line
from cvfp_opt.report.dashboard.markdown import code, plain, table
from cvfp_opt.report.judgement import judge
from cvfp_opt.report.tables import moment, sentence, value_words
from cvfp_opt.report.toml import definition_toml
from cvfp_opt.store.record.definition_sections import completed
from cvfp_opt.store.record.mirrors import Mirror
from cvfp_opt.store.record.records import StudyRecord
from cvfp_opt.store.record.summary import Summary

# What stands below it on a page is the user's own, and stays.
BORDER = "*Written by cvfp-opt. What you write below this line stays.*"

_MIRRORED = {
    "pareto": "Convergence rate against effective rank, as the objective scored them: a high rank "
    "is to be had without any convergence, and convergence without any rank.",
    "pareto-audited": "What the final net does on text that it never saw: the share of tokens "
    "whose context is the same on two reads with frozen weights, against effective rank.",
}


def with_own_words(note: str, before: str) -> str:
    """A note, followed by what the user wrote on the page before."""
    _, border, own = before.rpartition(BORDER)
    own = own if border else before
    return f"{note}\n\n{BORDER}\n\n{own.strip()}".rstrip()


def study_note(summary: Summary, option: str, mirrors: dict[str, int]) -> str:
    """The note of a study: judgement, how to go on, data, protocol, definition.

    Args:
        summary: of the study.
        option: what to add to a command to mean its database.
        mirrors: names and ids of its mirrors.
    """
    counts = ", ".join(f"{n} {state}" for state, n in summary.counts.items() if n)
    lines = [f"# {plain(summary.name)}", "", plain(judge(summary)), ""]
    lines += [f"Trials: {plain(counts or 'none yet')}."]
    if summary.best is not None:
        words = f"trial {summary.best.number}, {value_words(summary, summary.best)}"
        lines.append(f"Best: {plain(words)}.")
    confirmed = confirmation_line(summary, hint=False)
    if confirmed:
        lines.append(plain(sentence(confirmed)))
    if mirrors:
        links = [f"[{plain(n)}](/dashboard/studies/{i})" for n, i in mirrors.items()]
        lines.append(f"Pareto fronts: {', '.join(links)}.")
    name = f"--study-name {quoted(summary.name)}{option}"
    lines += ["", "## Go on, look closer", ""]
    again = f"--study-name {quoted(summary.confirms)}{option}"
    lines += code(
        f"cvfp-opt confirm {again}\ncvfp-opt status {name}"
        if summary.confirms
        else f"cvfp-opt run {name} --n-trials +10\ncvfp-opt best {name}\ncvfp-opt confirm {name}\n"
        f"cvfp-opt status {name}",
        "console",
    )
    if summary.record is not None:
        lines += _record_lines(summary.record)
    return "\n".join(lines)


def mirror_note(mirror: Mirror, source: str, source_id: int) -> str:
    """The note of a mirror."""
    return "\n".join(
        [
            f"# {plain(source)}: {plain(' against '.join(mirror.metric_names))}",
            "",
            plain(_MIRRORED[mirror.suffix]),
            "",
            f"A copy of the complete trials of [{plain(source)}](/dashboard/studies/{source_id}): "
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
    sources = [
        (what, ", ".join(f"{key} {value}" for key, value in source.items()))
        for what, source in record.sources.items()
    ]
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
        ("objective", ", ".join(f"{key} {value}" for key, value in objective.items())),
        ("search", ", ".join(f"{key} {value}" for key, value in search.items())),
        ("created", f"{moment(record.created)} on {at.get('host', 'an unknown host')}"),
        ("versions", ", ".join(f"{name} {one}" for name, one in at.get("versions", {}).items())),
        ("uuid", record.identity),
    ]
    return [
        *("", "## Data and protocol", "", *table(rows)),
        *("", "## Definition", "", f"Digest {record.definition_digest}.", ""),
        *code(definition_toml(definition).rstrip(), "toml"),
    ]
