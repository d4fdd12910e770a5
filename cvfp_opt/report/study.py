"""A study in full: its record, what ran it, and its state."""

from typing import TypedDict

from cvfp_opt.report.environment_groups import environment_groups
from cvfp_opt.report.status import drift_lines
from cvfp_opt.report.toml import definition_toml
from cvfp_opt.report.words import counts_line, moment, named_values
from cvfp_opt.store.record.definition_sections import completed
from cvfp_opt.store.record.records import StudyRecord
from cvfp_opt.store.record.summary import StateJson, Summary
from cvfp_opt.store.record.trial_attributes import StoredEnvironment


class SegmentJson(TypedDict):
    """Trials that ran on the same, as far as it may change numbers.

    Attributes:
        trials: their numbers, ascending.
        environment: of the first of them.
    """

    trials: list[int]
    environment: StoredEnvironment


class StudyJson(StateJson):
    """A study: what it was created with, how far it is, and what its trials ran on.

    Attributes:
        uuid: its own name, the same in every copy; empty without a record.
        num_artifacts: files that belong to its trials.
        segments: its trials by what they ran on.
    """

    uuid: str
    num_artifacts: int
    segments: list[SegmentJson]


def study_lines(summary: Summary) -> list[str]:
    """Write record, trials and drift, a line each."""
    lines = [f"study {summary.name} in {summary.url}"]
    if summary.note:
        lines += [summary.note, _row("directions", ", ".join(summary.directions))]
    if summary.record is not None:
        lines += _record_lines(summary.record)
    lines.append(_row("trials", counts_line(summary.counts, "none yet")))
    lines.append(_row("artifacts", str(summary.num_artifacts)))
    return lines + drift_lines(summary)


def definition_lines(summary: Summary) -> list[str]:
    """Write the definition as TOML below a blank line; nothing where there is no record."""
    if summary.record is None:
        return []
    text = definition_toml(completed(summary.record.definition))
    return ["", *text.rstrip().split("\n")]


def study_json(summary: Summary) -> StudyJson:
    """Convert a study to plain JSON values."""
    return {
        **summary.state_json(),
        "uuid": summary.record.identity if summary.record else "",
        "num_artifacts": summary.num_artifacts,
        "segments": [
            {"trials": one.numbers, "environment": one.environment}
            for one in environment_groups(summary.trials)
        ],
    }


def _record_lines(record: StudyRecord) -> list[str]:
    at = record.environment
    known = (at.get("device"), at.get("gpu"), at.get("processor"), at.get("reader"))
    ran = [str(one) for one in known if one is not None]
    ran += [f"threads {at['threads']}"] if "threads" in at else []
    commit = [f"commit {at['commit'][:12]}"] if "commit" in at else []
    commit += ["with uncommitted changes"] if at.get("uncommitted") else []
    # of a study that was adopted nobody knows what it began on
    versions = [named_values(at["versions"]), *commit] if "versions" in at else commit
    return [
        _row("uuid", record.identity),
        _row("created", f"{moment(record.created)} on {at.get('host', 'an unknown host')}"),
        *([_row("versions", ", ".join(versions))] if versions else []),
        *([_row("first ran on", ", ".join(ran))] if ran else []),
        _row("definition", f"digest {record.definition_digest}"),
        _row("text", f"digest {record.data_digest}"),
        *(_row("", f"{name}: {named_values(one)}") for name, one in record.sources.items()),
        *(_row("code", f"{name}: digest {digest}") for name, digest in record.code.items()),
    ]


def _row(label: str, text: str) -> str:
    return f"{label:<14}{text}"
