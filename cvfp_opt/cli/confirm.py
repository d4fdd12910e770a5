"""``confirm``: the best trials again, on seeds that the search never used."""

import sys
from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from cvfp_opt.cli.options import (
    allow_code_option,
    compute_options,
    engine_options,
    json_option,
    storage_option,
    study_name_option,
)

if TYPE_CHECKING:
    from rich.console import Console

    from cvfp_opt.store.database.retry import Patience
    from cvfp_opt.store.record.summary import Summary
    from cvfp_opt.workers.engine import Engine
    from cvfp_opt.workers.task import Task


@click.command(epilog="Example: cvfp-opt confirm --study-name quick --top 5 --seeds 5")
@storage_option
@study_name_option
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    metavar="N",
    help="Number of the best trials to confirm.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=2, max=10_000),  # runs are entered before the first begins
    default=5,
    show_default=True,
    metavar="N",
    help="Fresh seeds for each point; a later command may ask for more.",
)
@click.option(
    "--windows",
    is_flag=True,
    help="Give each seed a part of the text of its own, which the search did not read.",
)
@click.option("--data", type=click.Path(), help="Where the study's text is now.")
@allow_code_option
@compute_options
@click.option(
    "--n-jobs",
    type=int,
    metavar="N",
    help="Processes that share the threads. [default: one a thread, up to 4; 1 on a GPU]",
)
@engine_options
@json_option
def confirm(
    storage: str | None,
    study_name: str | None,
    top: int,
    seeds: int,
    windows: bool,
    data: str | None,
    allow_code: bool,
    device: str,
    threads: int | None,
    n_jobs: int | None,
    engine: str,
    scheduler: str | None,
    as_json: bool,
) -> None:
    """Run the best trials, the default point and the untrained net on fresh seeds.

    Prints the mean of each with its 95 % interval, how it compares with the default point seed by
    seed, and whether the winner is as good as reported. The runs are kept in the database as study
    NAME/confirm. After a stop or a crash the same command goes on; typed on several machines, it
    shares the runs among them.
    """
    from cvfp_opt.cli.console import make_console, print_json, print_lines
    from cvfp_opt.cli.opening import open_summary
    from cvfp_opt.report.confirmation import confirmation_of
    from cvfp_opt.report.confirmation_words import confirmation_lines, confirmation_table
    from cvfp_opt.search.environment import describe_environment
    from cvfp_opt.search.plan import Request, make_plan
    from cvfp_opt.store.database.location import resolve_location
    from cvfp_opt.store.database.retry import Patience
    from cvfp_opt.training.device import available_threads, resolve_device
    from cvfp_opt.workers.engine import Crew
    from cvfp_opt.workers.engines import make_engine
    from cvfp_opt.workers.task import Task, share_out

    console = make_console(stderr=as_json)
    patiently = Patience(notify=console.print)
    location = resolve_location(storage)
    with open_summary(storage, study_name, patiently) as summary:
        name = summary.name
    request = Request(study_name=name, data=data, allow_code=allow_code, confirms=True)
    plan = make_plan(location, request, patiently)
    remote = scheduler is not None  # then who computes is not this machine
    where = resolve_device("auto" if remote and device == "cuda" else device)
    n_jobs, threads = share_out(where, n_jobs, threads, lanes=1, remote=remote)
    crew = Crew(location=location, device=device, threads=threads, scheduler=scheduler)
    with closing(make_engine(engine, crew)) as workers:
        environment = workers.environment()
        environment = environment or describe_environment(where, threads or available_threads())
        task = Task(location=location, plan=plan, environment=environment, total=0)
        code = _run(task, summary, (top, seeds, windows), n_jobs, workers, console, patiently)
    with open_summary(storage, name, patiently) as summary:
        found = confirmation_of(summary)
    assert found is not None, "it was entered"
    if as_json:
        print_json(found.to_dict())
    else:
        console.print()
        console.print(confirmation_table(found))
        print_lines(["", *confirmation_lines(found)])
    sys.exit(code)


def _run(
    asked: "Task",
    summary: "Summary",
    extent: tuple[int, int, bool],
    n_jobs: int | None,
    engine: "Engine",
    console: "Console",
    patiently: "Patience",
) -> int:
    """Run what is missing; return the exit code."""
    from cvfp_opt.cli.console import compile_once
    from cvfp_opt.cli.progress import RunDisplay
    from cvfp_opt.cli.run import run_trials
    from cvfp_opt.report.dashboard.page import refresh
    from cvfp_opt.search.confirm import enter
    from cvfp_opt.search.drift import drift_lines
    from cvfp_opt.search.stopping import SearchStopped
    from cvfp_opt.store.database.retry import DATABASE_ERRORS
    from cvfp_opt.store.database.storage import open_for_editing
    from cvfp_opt.store.record.records import count_finished
    from cvfp_opt.store.record.studies import load_study
    from cvfp_opt.workers.engine import Job

    location, environment = asked.location, asked.environment
    with open_for_editing(location, patiently) as store:
        top, num_seeds, windows = extent
        entered = patiently(
            lambda: enter(
                store,
                asked.plan,
                summary,
                environment,
                top=top,
                num_seeds=num_seeds,
                windows=windows,
            )
        )
        plan, study, total = entered.plan, entered.study, entered.total
        done = patiently(lambda: count_finished(study))
        differences = patiently(lambda: plan.drift(study, environment))
        count = n_jobs and min(n_jobs, max(1, total - done))
        display = RunDisplay(console, plan.definition, total, count or 1)
        display.header(plan, location, environment, done, engine.place)
        for line in (*entered.notes, *drift_lines(differences)):
            display.notice(line)
        if done == total:
            return 0
        if count is not None:  # or it is others who compile it
            compile_once(console, plan.definition, environment["device"])
        task = replace(asked, plan=plan, total=total)
        code = 0
        try:
            job = Job(task=task, count=count, store=store, study=study, observer=display)
            run_trials(engine, job, display)
        except SearchStopped as stopped:
            console.print("stopped; what is done is kept: type the same command to go on")
            code = stopped.exit_code
        # its page says what is known of the winner now
        with suppress(*DATABASE_ERRORS):  # a page is worth neither waiting nor an end
            refresh(store, load_study(store, summary.name), lambda text: None)
    return code
