"""``thresholds``: convergence against threshold, for a trial or a checkpoint."""

from pathlib import Path
from typing import Any

import click

from cvfp_opt.cli.options import json_option, storage_option, study_name_option


@click.command(epilog="Example: cvfp-opt thresholds --study-name quick --trial 3")
@click.argument("checkpoint", required=False, type=click.Path(path_type=Path))
@storage_option
@study_name_option
@click.option("--trial", type=click.IntRange(min=0), help="Number of the trial. [default: best]")
@json_option
def thresholds(
    checkpoint: Path | None,
    storage: str | None,
    study_name: str | None,
    trial: int | None,
    as_json: bool,
) -> None:
    """Show how the convergence rate depends on the threshold, absolute and scale-free.

    From the residuals between the last two passes of training that a trial, or a CHECKPOINT that
    `train --save` wrote, has stored. Nothing is computed anew.
    """
    from cvfp_opt.cli.console import make_console, print_json
    from cvfp_opt.report.thresholds import threshold_rows, threshold_table

    if checkpoint is not None and (storage, study_name, trial) != (None, None, None):
        raise click.UsageError("a CHECKPOINT or a study's trial, not both; leave one of them out")
    label, audit = _stored(checkpoint, storage, study_name, trial)
    rows = threshold_rows(audit)
    if as_json:
        print_json({"of": label, "rates": rows})
        return
    click.echo(f"convergence of {label} between the last two passes (* in the original report)")
    make_console().print(threshold_table(rows))


def _stored(
    checkpoint: Path | None, storage: str | None, study_name: str | None, trial: int | None
) -> tuple[str, dict[str, Any]]:
    from cvfp_opt.cli.show import open_summary
    from cvfp_opt.errors import CheckpointError, StudyError
    from cvfp_opt.report.best import require_best
    from cvfp_opt.store.checkpoints import read_checkpoint

    if checkpoint is not None:
        audit = read_checkpoint(checkpoint)[1].result.get("audit")
        if not audit:
            raise CheckpointError(f"{checkpoint}: its run was not audited: it has no residuals")
        return str(checkpoint), audit
    with open_summary(storage, study_name) as summary:
        if trial is None:
            record = require_best(summary)
        elif trial < len(summary.trials):
            record = summary.trials[trial]
        else:
            last = len(summary.trials) - 1
            raise StudyError(
                f"study {summary.name!r}: a trial from 0 to {last} is required, got {trial}"
            )
        if not record.audit:
            raise StudyError(
                f"trial {record.number} of study {summary.name!r} was not audited "
                f"({record.state}): it has no residuals; name a complete trial with --trial"
            )
        return f"trial {record.number} of study {summary.name}", record.audit
