"""``queue``: what runs where, and what is next."""

import click

from cvfp_opt.cli.console import print_json, print_lines
from cvfp_opt.cli.options import json_option, storage_option


@click.command(epilog="Example: cvfp-opt queue --all")
@storage_option
@click.option("--all", "everything", is_flag=True, help="Show what is done or cancelled, too.")
@json_option
def queue(storage: str | None, everything: bool, as_json: bool) -> None:
    """Show what runs where, what is next, and why something waits."""
    from cvfp_opt.api.display.console import make_console
    from cvfp_opt.api.opening import locate
    from cvfp_opt.report.queue import queue_json, queue_lines
    from cvfp_opt.store.database.storage import open_for_reading
    from cvfp_opt.store.queue.overview import read_queue
    from cvfp_opt.store.queue.workers import read_workers

    with open_for_reading(locate(storage)) as store:
        studies, workers = store.patiently(lambda: (read_queue(store), read_workers(store)))
    if as_json:
        print_json(queue_json(studies, workers))
    else:
        width, option = make_console().width, store.location.option
        print_lines(queue_lines(studies, workers, width, everything=everything, option=option))
