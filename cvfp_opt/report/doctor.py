"""The findings of an examination, in words and as JSON."""

from collections.abc import Sequence
from typing import Annotated, Any, TypedDict

from cvfp_opt.escaping import quoted
from cvfp_opt.store.doctor.examination import Patient, Report
from cvfp_opt.store.doctor.finding import FindingJson, counted


class CheckJson(TypedDict):
    """The check that found something.

    Attributes:
        check: its name.
    """

    check: str


class ExaminationJson(TypedDict):
    """What was found in a database and beside it.

    Attributes:
        findings: what is wrong, or worth a note.
        mended: what `--repair` did, a sentence each.
        checks: names of the checks that were made.
        checks_not_made: names of those that were not, for trials cannot be read.
        studies: number of studies that were looked at.
        own_studies: how many of them are this program's.
        trials: number of trials that were looked at.
    """

    findings: list[Annotated[dict[str, Any], FindingJson, CheckJson]]
    mended: list[str]
    checks: list[str]
    checks_not_made: list[str]
    studies: int
    own_studies: int
    trials: int


def finding_lines(report: Report) -> list[str]:
    """Write a line for each finding, notes last."""
    found = [finding for _, finding in report.findings]
    return [finding.line for finding in sorted(found, key=lambda finding: finding.harmless)]


def closing_lines(report: Report, patient: Patient) -> list[str]:
    """Say what was looked at, how much is left, and what to type."""
    studies = counted(report.num_studies, "study")
    looked = f"{counted(len(report.made), 'check')} over {studies}"
    looked += f", {counted(report.num_trials, 'trial')}"
    lines = []
    if report.faults:
        lines.append(f"{counted(len(report.faults), 'finding')}: {looked}")
    else:
        lines.append(f"nothing found: {looked}")
    if report.not_made:
        lines.append(f"not made, for trials cannot be read: {', '.join(report.not_made)}")
    elif report.num_studies and not report.num_ours:
        lines.append("no study here is one of cvfp-opt: there was little to check")
    if report.repairable:
        command = f"cvfp-opt study doctor{_options(patient)} --repair"
        lines.append(f"to mend {len(report.repairable)} of them, type `{command}`")
    return lines


def report_json(report: Report, mended: Sequence[str]) -> ExaminationJson:
    """Convert a report to plain JSON values."""
    return {
        "findings": [{"check": name, **found.to_dict()} for name, found in report.findings],
        "mended": list(mended),
        "checks": list(report.made),
        "checks_not_made": list(report.not_made),
        "studies": report.num_studies,
        "own_studies": report.num_ours,
        "trials": report.num_trials,
    }


def _options(patient: Patient) -> str:
    named = {"--study-name": patient.study, "--artifacts": patient.artifacts}
    options = [f" {name} {quoted(value)}" for name, value in named.items() if value]
    return "".join([patient.location.option, *options])
