"""``thresholds``: what a convergence rate rests on, and what the contexts are worth downstream."""

from functools import partial
from pathlib import Path
from typing import Any

import click

from cvfp_opt.cli.options import json_option, storage_option, study_name_option
from cvfp_opt.training.data_config import MIN_TRAIN_TOKENS


@click.command(epilog="Example: cvfp-opt thresholds --study-name quick --trial 3")
@click.argument("source", required=False, metavar="[STUDY|CHECKPOINT]")
@storage_option
@study_name_option
@click.option("--trial", type=click.IntRange(min=0), help="Number of the trial. [default: best]")
@click.option(
    "--downstream",
    is_flag=True,
    help="Also fit a linear next-token probe on the contexts of a checkpoint (some minutes).",
)
@click.option(
    "--data",
    type=click.Path(),
    help="Text of the probe: a .txt file, a folder of them, or a .jsonl or .parquet file. "
    "[default: the network's]",
)
@click.option(
    "--tokens",
    type=click.IntRange(min=MIN_TRAIN_TOKENS),
    help="Tokens that the probe learns from; those that follow are held out. "
    "[default: as many as the network]",
)
@click.option("--threads", type=int, help="Threads of torch. [default: all processors]")
@json_option
def thresholds(
    source: str | None,
    storage: str | None,
    study_name: str | None,
    trial: int | None,
    downstream: bool,
    data: str | None,
    tokens: int | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Show how the convergence rate depends on the threshold, absolute and scale-free.

    The figures come from the stored residuals between the last two passes of training, of a trial
    of a STUDY or of a CHECKPOINT (a folder that `train --save` wrote). Nothing is computed anew
    but for --downstream, which asks whether a fixed point with a high rank predicts anything:
    alone, and beside the token embedding; best on --data of 100 000 --tokens or more.
    """
    from cvfp_opt.api.audits import audit_of_folder, audit_of_trial
    from cvfp_opt.api.display.console import make_console
    from cvfp_opt.api.opening import locate, open_summary
    from cvfp_opt.cli.console import echo, print_json
    from cvfp_opt.disk import is_folder
    from cvfp_opt.report.best import require_best
    from cvfp_opt.report.tables import probe_table, threshold_table
    from cvfp_opt.report.trial_rows import threshold_rows

    checkpoint = Path(source) if source is not None and is_folder(Path(source)) else None
    if checkpoint is not None and (storage, study_name, trial) != (None, None, None):
        raise click.UsageError("a CHECKPOINT or a study's trial, not both; leave one of them out")
    if source is not None and checkpoint is None and study_name is not None:
        raise click.UsageError("STUDY and --study-name are the same; leave one of them out")
    if downstream and checkpoint is None:
        raise click.UsageError(
            "--downstream needs a CHECKPOINT, and a trial is none; type first: "
            "cvfp-opt best --toml > winner.toml && cvfp-opt train winner.toml --save net"
        )
    if (data, tokens) != (None, None) and not downstream:
        raise click.UsageError("--data and --tokens are of the probe; add --downstream")
    if checkpoint is not None:
        label, audit = str(checkpoint), audit_of_folder(checkpoint)
    else:
        with open_summary(locate(storage), study_name or source) as summary:
            record = require_best(summary) if trial is None else summary.trial(trial)
        label = f"trial {record.number} of study {summary.name}"
        audit = audit_of_trial(summary, record)
    rows = threshold_rows(audit)
    console = make_console(stderr=as_json)
    if not as_json:
        echo(f"convergence of {label} between the last two passes (* in the original report)")
        console.print(threshold_table(rows))
        echo(
            "counted at 0.1, as in the audit; elsewhere read off quantiles, within 1.6 points and "
            "one token"
        )
    probes = None
    if downstream and checkpoint:
        probes = _probe(checkpoint, data, tokens, threads, console)
    if as_json:
        print_json({"of": label, "rates": rows} | ({"downstream": probes} if probes else {}))
    elif probes:
        console.print()
        console.print(probe_table(probes))


def _probe(
    checkpoint: Path, data: str | None, tokens: int | None, threads: int | None, console: Any
) -> list[dict[str, Any]]:
    from cvfp_opt.api.display.console import print_line
    from cvfp_opt.single.next_token_probe import probe_network, with_text
    from cvfp_opt.single.train import load_network
    from cvfp_opt.training.device import set_threads

    set_threads(threads)
    network, definition, saved = load_network(checkpoint)
    rows = probe_network(
        network,
        with_text(definition, data, tokens),
        partial(print_line, console, style="dim"),
        seed=saved.account.origin.get("seed"),
        number=saved.account.origin.get("number", 0),
    )
    return [row.to_dict() for row in rows]
