"""``study publish``, and ``best --save``: a winner as a folder that others can use."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cvfp_opt.api.opening import locate, open_summary
from cvfp_opt.cli.console import echo
from cvfp_opt.cli.options import UserPath, storage_option, study_name_option

if TYPE_CHECKING:
    from cvfp_opt.rerun.repeat import Conditions
    from cvfp_opt.store.record.summary import Summary


@click.command(epilog="Example: cvfp-opt study publish quick winner")
@click.argument("words", nargs=-1, metavar="STUDY DIR")
@study_name_option
@storage_option
@click.option(
    "--trial",
    type=click.IntRange(min=0),
    metavar="N",
    help="Publish this trial. [default: the best]",
)
@click.option("--data", type=click.Path(), help="Where the study's text is now, if it was moved.")
@click.option(
    "--device", metavar="cpu|cuda", help="Where to compute. [default: where the trial ran]"
)
@click.option(
    "--threads", type=click.IntRange(min=1), help="Threads of torch. [default: the trial's]"
)
@click.option("--allow-code", is_flag=True, help="Run losses and schedules that the study names.")
@click.option(
    "--allow-drift",
    is_flag=True,
    help="Publish the result even if its weights differ; its model card says so.",
)
def publish(
    words: tuple[str, ...],
    study_name: str | None,
    storage: str | None,
    trial: int | None,
    data: str | None,
    device: str | None,
    threads: int | None,
    allow_code: bool,
    allow_drift: bool,
) -> None:
    """Write a study's best trial to a folder: weights, configuration, metrics, model card.

    The trial is trained again from its record, and must end with the same weights to the bit.
    `cvfp_opt.load(DIR)` opens the folder.
    """
    from cvfp_opt.rerun.repeat import Conditions

    names = [*words] if study_name is None else [study_name, *words]
    if len(names) != 2:
        raise click.UsageError(
            "a study and a folder are required; give STUDY DIR, or --study-name NAME DIR"
        )
    name, folder = names[0], UserPath(path_type=Path).convert(names[1], None, None)
    conditions = Conditions(data=data, device=device, threads=threads, allow_code=allow_code)
    with open_summary(locate(storage), name) as summary:
        pass  # a snapshot: training needs no database
    save_trial(summary, folder, trial, conditions, allow_drift=allow_drift)


def save_trial(
    summary: "Summary",
    folder: Path,
    number: int | None = None,
    conditions: "Conditions | None" = None,
    *,
    allow_drift: bool = False,
    stderr: bool = False,
) -> None:
    """Train a trial again, the best one by default, and write it; print on ``stderr`` if asked."""
    from cvfp_opt.api.display.console import make_console
    from cvfp_opt.api.display.training import ConsoleTraining
    from cvfp_opt.api.repeating import save_trial as save_again
    from cvfp_opt.report.best import require_best

    console = make_console(stderr=stderr)
    trial = require_best(summary) if number is None else summary.trial(number)
    view = ConsoleTraining(console)
    identical = save_again(summary, trial, folder, conditions, view, allow_drift=allow_drift)
    same = "the same weights, to the bit" if identical else "NOT identical, and marked so"
    echo(f"{same}: {folder}", err=stderr)
