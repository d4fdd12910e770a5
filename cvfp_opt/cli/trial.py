"""``trial``: list and show trials, run one again, enqueue one, end one."""

from typing import TYPE_CHECKING

import click

from cvfp_opt.api.display.console import make_console
from cvfp_opt.api.opening import locate, open_summary
from cvfp_opt.cli.console import echo, print_json, print_lines, print_typed, terminal_width
from cvfp_opt.cli.options import json_option, named_study, storage_option
from cvfp_opt.cli.replay import replay
from cvfp_opt.cli.trial_list import list_trials

if TYPE_CHECKING:
    from cvfp_opt.store.queue.enqueued import Enqueued

number_argument = click.argument("number", type=click.IntRange(min=0), metavar="N")


@click.group(epilog="Example: cvfp-opt trial show 3 quick")
def trial() -> None:
    """List and show trials, run one again, enqueue one, end one."""


@click.command(epilog="Example: cvfp-opt trial show 3 quick")
@number_argument
@named_study
@storage_option
@json_option
def show(number: int, storage: str | None, study_name: str | None, as_json: bool) -> None:
    """Show trial N: parameters, every pass, metrics, audit, what it ran on, what it repeats."""
    from cvfp_opt.report.tables import iterations_table
    from cvfp_opt.report.trial import trial_json, trial_lines

    with open_summary(locate(storage), study_name) as summary:
        found = summary.trial(number)
        if as_json:
            print_json(trial_json(summary, found))
            return
        print_lines(trial_lines(summary, found, terminal_width()))
        table = iterations_table(found)
        if table is not None:
            echo()
            make_console().print(table)


@click.command(
    "enqueue",
    epilog="Example: cvfp-opt trial enqueue quick --set dist_reg_weight=0.85",
)
@named_study
@storage_option
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the trial; repeatable. The sampler chooses the others.",
)
@click.option("--from-study", metavar="OTHER", help="Take the best points of another study.")
@click.option(
    "--from-storage",
    metavar="URL|PATH",
    help="Database of the other study. [default: the same as --storage]",
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Number of the other study's points.",
)
@click.option("--clip", is_flag=True, help="Move the other study's numbers into the ranges here.")
@click.option("--ignore", is_flag=True, help="Leave out parameters that are unknown here.")
@click.option(
    "--retry",
    type=click.IntRange(min=0),
    metavar="N",
    help="Repeat the point of finished trial N with other seeds; at most three times.",
)
@json_option
def enqueue_command(
    storage: str | None,
    study_name: str | None,
    settings: tuple[str, ...],
    from_study: str | None,
    from_storage: str | None,
    top: int,
    clip: bool,
    ignore: bool,
    retry: int | None,
    as_json: bool,
) -> None:
    """Enqueue a trial at a point of your choice; the next free worker runs it.

    Give one of --set, --from-study and --retry. Points of another study must lie in the ranges
    that are searched here, agree with what is fixed here, and have no parameter unknown here.
    """
    from cvfp_opt.api.changing import enqueue
    from cvfp_opt.report.extent import waiting_words

    if (bool(settings), from_study is not None, retry is not None).count(True) != 1:
        raise click.UsageError("one of --set, --from-study and --retry is required")
    if from_study is None and (from_storage or clip or ignore):
        raise click.UsageError("--from-storage, --clip and --ignore go with --from-study")
    source = None
    if from_study is not None:
        with open_summary(locate(from_storage or storage), from_study) as source:
            pass  # a snapshot
    added = enqueue(
        locate(storage),
        study_name,
        settings=settings,
        source=source,
        top=top,
        clip=clip,
        ignore=ignore,
        retry=retry,
    )
    if as_json:
        print_json(added.to_dict())
        return
    print_lines(added.notes)
    _print_enqueued(added.trials)
    with open_summary(locate(storage), added.study) as summary:
        if waiting := waiting_words(summary, locate(storage).option):
            print_typed(*waiting, room=len(waiting[0]) + 2)


def _print_enqueued(done: "list[Enqueued]") -> None:
    from cvfp_opt.report.words import parameters_line

    for one in done:
        waits = "waits" if one.new else "waits already, none was added"
        echo(f"trial {one.number} {waits}: {parameters_line(one.params)}")


@click.command("fail", epilog="Example: cvfp-opt trial fail 3 quick --reason 'wrong disk'")
@number_argument
@named_study
@storage_option
@click.option(
    "--reason", default="ended by hand", show_default=True, help="Reason to record with the trial."
)
@json_option
def fail_command(
    number: int, storage: str | None, study_name: str | None, reason: str, as_json: bool
) -> None:
    """End running or waiting trial N as failed; a worker that runs it goes on to the next."""
    from cvfp_opt.api.changing import fail

    study = fail(locate(storage), study_name, number, reason)
    if as_json:
        print_json({"study": study, "trial": number, "reason": reason})
        return
    echo(f"trial {number} of study {study} has failed: {reason}")


for command in (list_trials, show, replay, enqueue_command, fail_command):
    trial.add_command(command)
