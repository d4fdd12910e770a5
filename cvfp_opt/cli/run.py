"""``run``: create a study or go on with it."""

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from cvfp_opt.cli.options import (
    Seconds,
    allow_code_option,
    artifacts_option,
    compute_options,
    engine_options,
    json_option,
    limit_options,
    storage_option,
    study_name_option,
)
from cvfp_opt.escaping import excerpt

if TYPE_CHECKING:
    import optuna
    from rich.console import Console

    from cvfp_opt.api.display.search import RunDisplay
    from cvfp_opt.search.plan import Plan
    from cvfp_opt.store.database.location import Location
    from cvfp_opt.store.database.retry import Patience
    from cvfp_opt.store.database.storage import Store
    from cvfp_opt.workers.session import Session


# The digits of a number of trials: no database numbers more, Python reads none of 5000 digits.
_MOST_DIGITS = 9


class TrialCount(click.ParamType):
    """``50``: the study's total; ``+10``: that many more."""

    name = "trial count"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, bool]:
        text = str(value)
        digits = text.removeprefix("+")
        fits = digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS
        if not fits or int(digits) < 1:
            got = excerpt(repr(text), 60)
            self.fail(f"50 (the study's total) or +10 (that many more) is required, got {got}")
        return int(digits), text.startswith("+")


@click.command(epilog="Example: cvfp-opt run quick --n-trials 20 --set training.num_epochs=1")
@click.argument("definition", required=False)
@click.option(
    "--n-trials",
    type=TrialCount(),
    default="50",
    show_default=True,
    metavar="N|+N",
    help="Total number of trials of the study; +N for N more than it has.",
)
@click.option(
    "--timeout",
    type=Seconds(0, endless=True),
    metavar="SECONDS",
    help="Start no further trial after this time.",
)
@storage_option
@study_name_option
@click.option("--seed", type=int, help="Seed of everything random (at creation). [default: 0]")
@click.option(
    "--data",
    type=click.Path(),
    help="Text to train on: a .txt file, a folder of them, or a .jsonl or .parquet file.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="Change the definition (at creation); repeatable.",
)
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
@click.option(
    "--lanes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Trials computed together in one process: for a GPU, which a single trial leaves idle.",
)
@engine_options
@artifacts_option
@limit_options
@json_option
def run(
    definition: str | None,
    n_trials: tuple[int, bool],
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
        console.print("loading ...", style="dim", end="\r")

    from cvfp_opt.search.plan import Request, make_plan, resolve_request
    from cvfp_opt.store.database.location import resolve_location
    from cvfp_opt.store.database.retry import Patience

    location = resolve_location(storage)
    request = Request(
        definition=definition,
        study_name=study_name,
        settings=settings,
        data=data,
        seed=seed,
        allow_code=allow_code,
        allow_drift=allow_drift,
    )
    patiently = Patience(seconds=wait_for_database, notify=console.print)
    resolve_request(location, request, patiently)  # what is mistyped needs not wait for torch

    from cvfp_opt.workers.forking import start_server_for
    from cvfp_opt.workers.shares import WorkerOptions, share_out

    options = share_out(
        WorkerOptions(
            device=device,
            threads=threads,
            n_jobs=n_jobs,
            lanes=lanes,
            engine=engine,
            scheduler=scheduler,
        )
    )
    if n_trials[0] > 1:
        start_server_for(options)  # which imports beside us

    from cvfp_opt.store.files.artifact_stores import open_artifacts
    from cvfp_opt.workers.session import open_session
    from cvfp_opt.workers.task import Limits

    open_artifacts(location, artifacts)  # refused before anything else is done
    limits = Limits(
        lease_seconds=lease,
        patience_seconds=wait_for_database,
        max_retries=max_retries,
        checkpoint_seconds=checkpoint_every,
        artifacts=artifacts,
    )
    plan = make_plan(location, request, patiently)
    with open_session(location, plan, options, limits, deadline) as session:
        code = _search(session, plan, n_trials, console, as_json, patiently)
    sys.exit(code)


def _search(
    session: "Session",
    plan: "Plan",
    n_trials: tuple[int, bool],
    console: "Console",
    as_json: bool,
    patiently: "Patience",
) -> int:
    """Run the search and print its summary; return the exit code."""
    from cvfp_opt.store.database.retry import DATABASE_ERRORS, LOOKING
    from cvfp_opt.store.database.storage import open_for_search
    from cvfp_opt.store.record.mirrors import left_out
    from cvfp_opt.store.record.records import count_finished
    from cvfp_opt.store.record.summary import Summary

    location = session.location
    with open_for_search(location, patiently) as store:
        study, created = plan.enter(store, session.environment)
        done = patiently(lambda: count_finished(study))
        total = n_trials[0] + (done if n_trials[1] else 0)
        notes = patiently(lambda: left_out(store, study))
        display, code = search_study(
            session, store, study, plan, total, console, notes=notes, created=created
        )
        try:
            look = LOOKING if code else patiently  # who stopped it waits for no summary
            summary = look(lambda: Summary.of(study, location.shown))
        except DATABASE_ERRORS:
            if not code:
                raise
            console.print("stopped; the database does not answer: what was written there is kept")
            return code
    _finish(display, summary, location, code, as_json)
    return code


def search_study(
    session: "Session",
    store: "Store",
    study: "optuna.Study",
    plan: "Plan",
    total: int,
    console: "Console",
    *,
    notes: Sequence[str] = (),
    created: bool = False,
) -> tuple["RunDisplay", int]:
    """Search a study until ^C or its end, and show it; return the display and the exit code.

    Args:
        session: of workers that are ready.
        store, study: opened by this process.
        plan: entered.
        total: trials of the study in all.
        console: where to show it.
        notes: to begin with, a line each.
        created: whether the study is new.
    """
    from cvfp_opt.api.display.console import compile_once
    from cvfp_opt.api.display.search import RunDisplay
    from cvfp_opt.search.stopping import SearchStopped, StopRequest
    from cvfp_opt.store.record.records import count_finished
    from cvfp_opt.workers.engine import Job

    task, differences = session.task(store, study, plan, total)
    done = store.patiently(lambda: count_finished(study))
    most = max(1, total - done)
    count, lanes = session.count and min(session.count, most), min(session.lanes, most)
    display = RunDisplay(console, plan.definition, total, count or 1, lanes)
    known = None if created else done
    display.header(plan, session.location, task.environment, known, session.engine.place)
    for line in (*notes, *differences):
        display.notice(line)
    if done < total and count is not None:  # or it is others who compile it
        compile_once(console, plan.definition, task.environment["device"])

    def stopping() -> None:
        session.engine.stop()
        display.stopping()

    task = replace(task, lanes=lanes)
    job = Job(task=task, count=count, store=store, study=study, observer=display)
    try:
        with StopRequest(stopping) as stop, display:
            session.engine.run(job, stop)
    except SearchStopped as stopped:
        return display, stopped.exit_code
    return display, 0


def _finish(
    display: "RunDisplay", summary: Any, location: "Location", code: int, as_json: bool
) -> None:
    from cvfp_opt.cli.console import print_json
    from cvfp_opt.report.confirmation import confirmation_json
    from cvfp_opt.report.judgement import judge

    if code:
        display.stopped(summary, location)
    else:
        display.summary(summary, location)
    if as_json:
        more = {"judgement": judge(summary), "confirmation": confirmation_json(summary)}
        print_json(summary.to_dict() | more)
