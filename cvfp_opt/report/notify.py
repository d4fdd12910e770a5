"""How a hook stands, in lines."""

from cvfp_opt.report.words import moment
from cvfp_opt.store.queue.outbox import HookState


def hook_lines(
    name: str, kind: str, receiver: str, told: str, state: HookState | None
) -> list[str]:
    """Write whom a hook tells what, and how far it is.

    Args:
        name: of the hook.
        kind: of the hook; "" if another machine's file names it.
        receiver: whom it tells.
        told: what it is told.
        state: of it in the database; None if there is nothing yet.
    """
    lines = [f"{name}: {kind} to {receiver}" if kind else f"{name}: named in a file elsewhere"]
    if told:
        lines.append(f"  is told    {told}")
    if state is None:
        return [*lines, "  sent       nothing: no search, worker or server has run with it yet"]
    last = "" if state.last_sent is None else f", the last one {moment(state.last_sent)}"
    lines.append(f"  sent       {state.sent}{last}")
    why = f": {state.why}" if state.why else ""
    if state.waiting:
        lines.append(f"  waiting    {state.waiting}{why}")
    if state.given_up:
        lines.append(f"  given up   {state.given_up}{'' if state.waiting else why}")
    return lines
