"""``study pause``, ``resume``, ``cancel``, ``set``: what is wanted of a study."""

from functools import partial
from typing import TYPE_CHECKING

import click

from cvfp_opt.api.opening import locate
from cvfp_opt.cli.console import echo
from cvfp_opt.cli.options import storage_option
from cvfp_opt.escaping import positional, quoted

if TYPE_CHECKING:
    from cvfp_opt.store.queue.control import Controlled


@click.command(epilog="Example: cvfp-opt study pause quick")
@click.argument("name")
@storage_option
@click.option(
    "--now", is_flag=True, help="Give running trials back, too: they wait, with checkpoints."
)
def pause(name: str, storage: str | None, now: bool) -> None:
    """Let no further trial of a study begin; running trials go on to their end.

    Workers end when they have nothing left to run. `study resume` opens it again.
    """
    from cvfp_opt.api import changing
    from cvfp_opt.store.queue import control

    location = locate(storage)
    name, done = changing.control(location, name, partial(control.pause, now=now))
    resume = f"cvfp-opt study resume{location.option} {positional(name)}"
    echo(f"study {name} is paused{_running(done)}; to go on, type `{resume}`")


@click.command(epilog="Example: cvfp-opt study resume quick")
@click.argument("name")
@storage_option
def resume(name: str, storage: str | None) -> None:
    """Let trials of a paused or cancelled study begin again."""
    from cvfp_opt.api import changing
    from cvfp_opt.store.queue import control

    location = locate(storage)
    name, done = changing.control(location, name, control.resume)
    run = f"cvfp-opt run --study-name {quoted(name)}{location.option}"
    total = done.entry.total
    if total is not None and done.started >= total:
        echo(
            f"study {name} is open, with all of its {total} trials; for more, type "
            f"`{run} --n-trials +10`"
        )
    else:
        echo(f"study {name} is open; to run its trials, type `{run}`")


@click.command(epilog="Example: cvfp-opt study cancel quick")
@click.argument("name")
@storage_option
def cancel(name: str, storage: str | None) -> None:
    """Give a study's running trials back, and let none begin any more.

    What has finished stays. `study resume` opens it again.
    """
    from cvfp_opt.api import changing
    from cvfp_opt.store.queue import control

    name, done = changing.control(locate(storage), name, control.cancel)
    echo(f"study {name} is cancelled{_running(done)}")


@click.command("set", epilog="Example: cvfp-opt study set quick --n-trials 80")
@click.argument("name")
@storage_option
@click.option(
    "--n-trials",
    type=click.IntRange(min=1, max=999_999_999),
    required=True,
    metavar="N",
    help="Total number of trials; workers that were started with fewer end there.",
)
def set_study(name: str, storage: str | None, n_trials: int) -> None:
    """Set how many trials a study is to have; running trials are not touched."""
    from cvfp_opt.api import changing
    from cvfp_opt.store.queue import control

    act = partial(control.change_total, total=n_trials)
    name, _ = changing.control(locate(storage), name, act)
    echo(f"study {name} is to have {n_trials} trials")


def _running(done: "Controlled") -> str:
    """Say what became of the trials that ran."""
    if done.given_back:
        numbers = ", ".join(map(str, done.given_back))
        return f"; given back: trial{'s' if len(done.given_back) > 1 else ''} {numbers}"
    if done.running:
        trials = "1 trial runs" if done.running == 1 else f"{done.running} trials run"
        return f"; {trials} on to the end"
    return ""
