"""``run``: create a study or go on with it."""

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from cvfp_opt.cli.options import (
    Seconds,
    allow_code_option,
    artifacts_option,
    compute_options,
    data_option,
    engine_options,
    json_option,
    lanes_option,
    limit_options,
    seed_option,
    set_option,
    storage_option,
    study_name_option,
)
from cvfp_opt.errors import DefinitionError

if TYPE_CHECKING:
    from rich.console import Console

    from cvfp_opt.api.counts import TrialCount
    from cvfp_opt.api.running import Ended
    from cvfp_opt.store.database.location import Location


class TrialCountType(click.ParamType):
    """``50``: the study's total; ``+10``: that many more."""

    name = "trial count"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "TrialCount":
        from cvfp_opt.api.counts import trial_count

        try:
            return trial_count(value)
        except DefinitionError as error:
            self.fail(str(error))


@click.command(epilog="Example: cvfp-opt run quick --n-trials 20 --set training.num_epochs=1")
@click.argument("definition", required=False)
@click.option(
    "--n-trials",
    type=TrialCountType(),
    metavar="N|+N",
    help="Total number of trials of the study; +N for N more than it has. "
    "[default: the study's own, 50 for a new one]",
)
@click.option(
    "--timeout",
    type=Seconds(0, endless=True),
    metavar="SECONDS",
    help="Start no further trial after this time.",
)
@storage_option
@study_name_option
@seed_option
@data_option
@set_option
@allow_code_option
@click.option(
    "--allow-drift",
    is_flag=True,
    help="Go on although definition, text or code differ from the study's; the study records it.",
)
@compute_options
@click.option(
    "--n-jobs",
    type=int,
    metavar="N",
    help="Processes that run trials side by side and share the threads. With more than one, the "
    "order of their results decides what is proposed: 1 for proposals that can be repeated. "
    "[default: one a thread, up to 4; 1 on a GPU or with --lanes]",
)
@lanes_option
@engine_options
@artifacts_option
@limit_options
@json_option
def run(
    definition: str | None,
    n_trials: "TrialCount | None",
    timeout: float | None,
    storage: str | None,
    study_name: str | None,
    seed: int | None,
    data: str | None,
    settings: tuple[str, ...],
    allow_code: bool,
    allow_drift: bool,
    device: str,
    threads: int | None,
    n_jobs: int | None,
    lanes: int,
    engine: str,
    scheduler: str | None,
    artifacts: str | None,
    lease: float,
    wait_for_database: float,
    max_retries: int,
    checkpoint_every: float,
    as_json: bool,
) -> None:
    """Search, or go on with a search that was stopped.

    DEFINITION is a name (recommended, quick, standard, fixed_point, seed, staged, adaptive,
    losses, pareto, honest) or the path of a .toml file; by default the study's own, or
    recommended for a new study. A study has a fixed total of trials: typed again, the command
    goes on to that total.
    """
    from cvfp_opt.api.display.console import make_console

    console = make_console(stderr=as_json)
    deadline = None if timeout is None else time.monotonic() + timeout
    if console.is_terminal:
        # not by ``print``, which would show the return as text; the first line is longer
        console.file.write("loading ...\r")
        console.file.flush()

    from cvfp_opt.api.display.search import view_on
    from cvfp_opt.api.running import Assignment, search_study
    from cvfp_opt.store.database.location import resolve_location
    from cvfp_opt.tuning.limits import Limits
    from cvfp_opt.tuning.plan import Request
    from cvfp_opt.workers.shares import Workers

    assignment = Assignment(
        location=resolve_location(storage),
        request=Request(
            definition=definition,
            study_name=study_name,
            settings=settings,
            data=data,
            seed=seed,
            allow_code=allow_code,
            allow_drift=allow_drift,
        ),
        workers=Workers(
            device=device,
            threads=threads,
            n_jobs=n_jobs,
            lanes=lanes,
            engine=engine,
            scheduler=scheduler,
        ),
        limits=Limits(
            lease_seconds=lease,
            patience_seconds=wait_for_database,
            max_retries=max_retries,
            checkpoint_seconds=checkpoint_every,
            artifacts=artifacts,
        ),
        view=view_on(console),
        deadline=deadline,
    )
    ended = search_study(assignment, n_trials)
    _finish(ended, assignment.location, console, as_json)
    sys.exit(ended.stopped.exit_code if ended.stopped else 0)


def _finish(ended: "Ended", location: "Location", console: "Console", as_json: bool) -> None:
    """Print what came of it, and what to type next."""
    from cvfp_opt.api.display.console import print_line
    from cvfp_opt.api.display.search import RunDisplay
    from cvfp_opt.cli.console import print_json
    from cvfp_opt.report.status import status_json

    summary, display = ended.summary, ended.display
    assert isinstance(display, RunDisplay), "of this view"
    if summary is None:
        print_line(console, "stopped; the database does not answer: what was written is kept")
        return
    if ended.stopped:
        display.stopped(summary, location)
    else:
        display.summary(summary, location)
    if as_json:
        print_json(status_json(summary))
