"""``study pause``, ``resume``, ``cancel``, ``set``: what is wanted of a study."""

from functools import partial
from typing import TYPE_CHECKING, Any, cast

import click

from cvfp_opt.api.opening import locate
from cvfp_opt.cli.console import echo, print_json
from cvfp_opt.cli.options import Name, json_option, storage_option
from cvfp_opt.cli.submit import said_wishes, wish_options, wish_words
from cvfp_opt.escaping import positional, quoted

if TYPE_CHECKING:
    from cvfp_opt.api.wishes import Wishes
    from cvfp_opt.store.queue.control import Controlled


@click.command(epilog="Example: cvfp-opt study pause quick")
@click.argument("name")
@storage_option
@click.option(
    "--now", is_flag=True, help="Give running trials back, too: they wait, with checkpoints."
)
@json_option
def pause(name: str, storage: str | None, now: bool, as_json: bool) -> None:
    """Let no further trial of a study begin; running trials go on to their end.

    Workers end when they have nothing left to run. `study resume` opens it again.
    """
    from cvfp_opt.api import changing
    from cvfp_opt.store.queue import control

    location = locate(storage)
    name, done = changing.control(location, name, partial(control.pause, now=now))
    if as_json:
        print_json(done.to_dict(name))
        return
    resume = f"cvfp-opt study resume{location.option} {positional(name)}"
    echo(f"study {name} is paused{_running(done)}; to go on, type `{resume}`")


@click.command(epilog="Example: cvfp-opt study resume quick")
@click.argument("name")
@storage_option
@json_option
def resume(name: str, storage: str | None, as_json: bool) -> None:
    """Let trials of a paused or cancelled study begin again."""
    from cvfp_opt.api import changing
    from cvfp_opt.store.queue import control

    location = locate(storage)
    name, done = changing.control(location, name, control.resume)
    if as_json:
        print_json(done.to_dict(name))
        return
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
@json_option
def cancel(name: str, storage: str | None, as_json: bool) -> None:
    """Give a study's running trials back, and let none begin any more.

    What has finished stays. `study resume` opens it again.
    """
    from cvfp_opt.api import changing
    from cvfp_opt.store.queue import control

    name, done = changing.control(locate(storage), name, control.cancel)
    if as_json:
        print_json(done.to_dict(name))
        return
    echo(f"study {name} is cancelled{_running(done)}")


@click.command("set", epilog="Example: cvfp-opt study set quick --n-trials 80 --weight 2")
@click.argument("name")
@storage_option
@wish_options
@click.option("--owner", metavar="NAME", help="Whose study it is.")
@click.option(
    "--no",
    "without",
    multiple=True,
    type=Name(("max-workers", "budget-hours", "max-failed", "until", "tag")),
    help="Take a limit away, or the tags. May be repeated.",
)
@json_option
def set_study(
    name: str,
    storage: str | None,
    owner: str | None,
    without: tuple[str, ...],
    as_json: bool,
    **wishes: Any,
) -> None:
    """Change what is wanted of a study; running trials are not touched."""
    from cvfp_opt.api import changing
    from cvfp_opt.api.wishes import changes_of, wishes_of
    from cvfp_opt.store.queue import control

    said: dict[str, Any] = {**said_wishes(**wishes, owner=owner)}
    for one in without:
        key = {"tag": "tags"}.get(one, one.replace("-", "_"))
        if key in said:
            raise click.UsageError(f"--no {one}: it is set, too; give one of the two")
        said[key] = () if key == "tags" else None
    if not said:
        raise click.UsageError("nothing to set; give --n-trials, --weight or another option")
    changes = changes_of(cast("Wishes", said))
    name, done = changing.control(
        locate(storage), name, lambda store, study: control.amend(store, study, changes)
    )
    if as_json:
        print_json(done.to_dict(name))
        return
    now = wishes_of(done.entry)
    words = ", ".join(f"{key.replace('_', '-')} {wish_words(now[key])}" for key in said)
    echo(f"study {name} is set: {words}")


def _running(done: "Controlled") -> str:
    """Say what became of the trials that ran."""
    if done.given_back:
        numbers = ", ".join(map(str, done.given_back))
        return f"; given back: trial{'s' if len(done.given_back) > 1 else ''} {numbers}"
    if done.running:
        trials = "1 trial runs" if done.running == 1 else f"{done.running} trials run"
        return f"; {trials} on to the end"
    return ""
