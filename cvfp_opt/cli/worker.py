"""``worker``: stay and run trials of what is submitted; list, drain and stop such workers."""

from typing import TYPE_CHECKING

import click

from cvfp_opt.cli.console import echo, print_json, print_lines
from cvfp_opt.cli.options import (
    Seconds,
    allow_code_option,
    artifacts_option,
    checkpoint_option,
    compute_options,
    json_option,
    lanes_option,
    lease_option,
    retries_option,
    storage_option,
)

if TYPE_CHECKING:
    from cvfp_opt.store.queue.workers import StayingWorker


@click.group(
    invoke_without_command=True,
    epilog="Example: cvfp-opt worker --study 'paper-*' --until-idle",
)
@storage_option
@click.option(
    "--study",
    "studies",
    multiple=True,
    metavar="GLOB",
    help="Serve these studies alone, by name or with wildcards. May be repeated. [default: all]",
)
@click.option("--until-idle", is_flag=True, help="End when there is nothing to begin.")
@click.option(
    "--max-trials",
    type=click.IntRange(min=1),
    metavar="N",
    help="End after so many trials, of each process.",
)
@click.option(
    "--hours",
    metavar="HOURS",
    help='Take trials only then: "18-08 Mon-Fri" or "9-17", by this machine\'s clock.',
)
@click.option(
    "--health",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Answer GET /livez there, for whoever watches it; 0 for any free port.",
)
@click.option(
    "--mixed", is_flag=True, help="Serve studies that began on another version or device, too."
)
@allow_code_option
@compute_options
@click.option(
    "--n-jobs",
    type=int,
    metavar="N",
    help="Processes, each a worker, that share the threads. [default: one a thread, up to 4; 1 "
    "on a GPU or with --lanes]",
)
@lanes_option
@artifacts_option
@lease_option
@click.option(
    "--wait-for-database",
    type=Seconds(0, endless=True),
    default=float("inf"),
    show_default="inf",
    metavar="SECONDS",
    help="How long to wait for a database that does not answer.",
)
@retries_option
@checkpoint_option
@click.pass_context
def worker(
    context: click.Context,
    storage: str | None,
    studies: tuple[str, ...],
    until_idle: bool,
    max_trials: int | None,
    hours: str | None,
    health: int | None,
    mixed: bool,
    allow_code: bool,
    device: str,
    threads: int | None,
    n_jobs: int | None,
    lanes: int,
    artifacts: str | None,
    lease: float,
    wait_for_database: float,
    max_retries: int,
    checkpoint_every: float,
) -> None:
    """Stay, and run trials of the studies that are submitted.

    It serves the studies of the highest priority first, and shares itself among those of one
    priority by their weights. ^C or SIGTERM gives the running trials back, with checkpoints.
    """
    if context.invoked_subcommand is not None:
        return
    from cvfp_opt.api.fleet import stay_at_work
    from cvfp_opt.api.opening import locate
    from cvfp_opt.tuning.limits import Limits
    from cvfp_opt.workers.shares import Workers

    location = locate(storage)
    stay_at_work(
        location,
        Workers(device=device, threads=threads, n_jobs=n_jobs, lanes=lanes),
        Limits(
            lease_seconds=lease,
            patience_seconds=wait_for_database,
            max_retries=max_retries,
            checkpoint_seconds=checkpoint_every,
            artifacts=artifacts,
        ),
        studies=studies,
        until_idle=until_idle,
        max_trials=max_trials,
        hours=hours,
        allow_code=allow_code,
        mixed=mixed,
        health=health,
        say=echo,
    )
    echo("the worker has left")


@worker.command("list", epilog="Example: cvfp-opt worker list")
@storage_option
@json_option
def list_workers(storage: str | None, as_json: bool) -> None:
    """List the workers that stay: where, what they run, when they were seen last."""
    from cvfp_opt.api.display.console import make_console
    from cvfp_opt.api.opening import locate
    from cvfp_opt.report.queue import worker_lines, workers_json
    from cvfp_opt.store.database.storage import open_for_reading
    from cvfp_opt.store.queue.overview import read_queue
    from cvfp_opt.store.queue.workers import read_workers

    with open_for_reading(locate(storage)) as store:
        studies, workers = store.patiently(lambda: (read_queue(store), read_workers(store)))
        now = store.patiently(store.clock)
    if as_json:
        print_json(workers_json(workers, studies))
    else:
        width, option = make_console().width, store.location.option
        print_lines(worker_lines(workers, studies, width, now, option))


@worker.command(epilog="Example: cvfp-opt worker drain 3f2a --within 60")
@click.argument("worker_id", metavar="ID")
@storage_option
@click.option(
    "--within",
    type=Seconds(0, endless=True),
    default=600,
    show_default=True,
    metavar="SECONDS",
    help="Then it gives back what it still runs, with a checkpoint.",
)
@json_option
def drain(worker_id: str, storage: str | None, within: float, as_json: bool) -> None:
    """Let a worker take no further trial, and end after those that it runs.

    ID is its id, or as much of its beginning as names one alone.
    """
    from cvfp_opt.api import fleet

    limit = None if within == float("inf") else within
    found = fleet.drain_worker(worker_id, storage=storage, within=limit)
    if as_json:
        _print_worker(found, storage)
        return
    end = "" if limit is None else f", or gives them back after {within:g} s"
    echo(f"worker {_who(found)} ends after the trials that it runs{end}")


@worker.command(epilog="Example: cvfp-opt worker stop 3f2a")
@click.argument("worker_id", metavar="ID")
@storage_option
@json_option
def stop(worker_id: str, storage: str | None, as_json: bool) -> None:
    """Let a worker give back what it runs, with checkpoints, and end.

    ID is its id, or as much of its beginning as names one alone.
    """
    from cvfp_opt.api import fleet

    found = fleet.stop_worker(worker_id, storage=storage)
    if as_json:
        _print_worker(found, storage)
        return
    echo(f"worker {_who(found)} gives back what it runs, and ends")


def _print_worker(worker: "StayingWorker", storage: str | None) -> None:
    from cvfp_opt.api.opening import locate
    from cvfp_opt.report.queue import workers_json
    from cvfp_opt.store.database.storage import open_for_reading
    from cvfp_opt.store.queue.overview import read_queue

    with open_for_reading(locate(storage)) as store:
        studies = store.patiently(lambda: read_queue(store))
    print_json(workers_json([worker], studies)[0])


def _who(worker: "StayingWorker") -> str:
    return f"{worker.short} on {worker.host}"
