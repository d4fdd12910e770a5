"""``events``, ``notify``: what happened, and whom it was told."""

import click

from cvfp_opt.cli.console import echo, print_json
from cvfp_opt.cli.options import json_option, named_study, storage_option


@click.command(epilog="Example: cvfp-opt events quick --after 120 --json")
@named_study
@storage_option
@click.option(
    "--after",
    type=click.IntRange(0, 2**31 - 1),
    metavar="ID",
    help="Those that came after this one, by its number. [default: the newest 50]",
)
@click.option("--limit", type=click.IntRange(min=1, max=1000), metavar="N", help="At most N.")
@json_option
def events(
    study_name: str | None,
    storage: str | None,
    after: int | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """List what happened: to one study, or to all.

    Each line begins with the event's number. Events are kept for 30 days.
    """
    from cvfp_opt.api import notifying
    from cvfp_opt.report.words import moment

    found = notifying.events(study_name, after=after, limit=limit, storage=storage)
    if as_json:
        print_json([event.to_dict() for event in found])
        return
    for event in found:
        echo(f"{event.id:>5}  {moment(event.time)}  {event.kind:<15}  {event.text}")
    if not found:
        echo("no events" if after is None else f"no events after {after}")


@click.group(epilog="Example: cvfp-opt notify test")
def notify() -> None:
    """Tell people and programs what happens.

    By a webhook, a command, mail, Slack, ntfy and others. notify.toml names whom to tell: beside
    the SQLite file, in storage/ here for a server, or where CVFP_OPT_NOTIFY says. Searches,
    workers and the server tell by themselves.
    """


@notify.command(epilog="Example: cvfp-opt notify test ops")
@click.argument("hook", required=False)
@storage_option
def test(hook: str | None, storage: str | None) -> None:
    """Tell hooks a test event.

    Without HOOK all of them. The exit code is 1 if one was not told.
    """
    from cvfp_opt.api import notifying

    failed = False
    for sent in notifying.try_hooks(hook, storage=storage):
        failed |= bool(sent.outcome.why)
        echo(f"{sent.hook}: {f'NOT told: {sent.outcome.why}' if sent.outcome.why else 'told'}")
    raise SystemExit(1 if failed else 0)


@notify.command("list", epilog="Example: cvfp-opt notify list")
@storage_option
@json_option
def list_hooks(storage: str | None, as_json: bool) -> None:
    """List hooks, and how they stand.

    Whom each tells what, what it was told last, what waits and why.
    """
    from cvfp_opt.api import notifying
    from cvfp_opt.report.notify import hook_lines

    found = notifying.hooks(storage=storage)
    if as_json:
        print_json([one.to_dict() for one in found])
        return
    for one in found:
        told = notifying.words_of(one) if one.kind else ""
        for line in hook_lines(one.name, one.kind, one.receiver, told, one.state):
            echo(line)
    if not found:
        echo("no hooks; `cvfp-opt notify --help` says where they are named")


@notify.command(epilog="Example: cvfp-opt notify send")
@storage_option
def send(storage: str | None) -> None:
    """Tell hooks what is due now.

    Searches, workers and the server do so by themselves, and try again what failed. This is for
    cron, and for what waits when none of them runs. The exit code is 1 if something was not told.
    """
    from cvfp_opt.api import notifying

    found = notifying.send_events(storage=storage)
    for sent in found:
        what = f"NOT told: {sent.outcome.why}" if sent.outcome.why else "told"
        echo(f"{sent.hook}: event {sent.event}: {what}")
    if not found:
        echo("nothing is due")
    raise SystemExit(1 if any(sent.outcome.why for sent in found) else 0)
