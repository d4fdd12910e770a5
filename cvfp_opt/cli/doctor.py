"""``study doctor``: what is wrong in a database and beside it, and mending it."""

import sys

import click

from cvfp_opt.cli.console import echo, print_json, print_lines
from cvfp_opt.cli.options import artifacts_option, json_option, named_study, storage_option


@click.command(epilog="Example: cvfp-opt study doctor --storage storage/cvfp.db --repair")
@named_study
@storage_option
@artifacts_option
@click.option("--repair", is_flag=True, help="Repair what is safe to repair, and print it.")
@json_option
def doctor(
    storage: str | None,
    study_name: str | None,
    artifacts: str | None,
    repair: bool,
    as_json: bool,
) -> None:
    """Look for faults in a study database and the files beside it; exit 1 if any are left.

    Each line says what was found, its cause, and what --repair does about it or what to type.
    Without --repair nothing is changed. docs/doctor.md explains each check.
    """
    from cvfp_opt.api.changing import examined
    from cvfp_opt.api.opening import locate
    from cvfp_opt.report.doctor import closing_lines, finding_lines, report_json
    from cvfp_opt.store.doctor.examination import Patient, Report

    def show(report: Report) -> None:
        if not as_json:
            print_lines([*finding_lines(report), ""])

    patient = Patient(location=locate(storage), artifacts=artifacts, study=study_name)
    mended: list[str] = []
    notify = mended.append if as_json else echo
    report = examined(patient, repair=repair, found=show, notify=notify)
    if as_json:
        print_json(report_json(report, mended))
    else:
        print_lines([*finding_lines(report), *closing_lines(report, patient)])
    sys.exit(1 if report.faults else 0)
