"""The result of a replay, in words."""

from typing import Any

from cvfp_opt.report.words import duration
from cvfp_opt.store.doctor.finding import counted


def replay_lines(replay: dict[str, Any]) -> list[str]:
    """Write the verdict, where it comes from, and what differs between then and now.

    Args:
        replay: ``rerun.replay.Replay.to_dict``.
    """
    subject = f"trial {replay['trial']} of study {replay['study_name']}"
    extent = f"{replay['compared']} quantities of {counted(replay['iterations'], 'iteration')}"
    spent = f"run again in {duration(replay['seconds'])}"
    lines = []
    if replay["identical"]:
        digest = replay["weights_digest"][:12]
        weights = f", final weights {digest}" if digest else ""
        lines.append(f"{subject}: identical ({extent}{weights}; {spent})")
    else:
        lines.append(f"{subject}: not identical ({extent}; {spent})")
        lines.append(_first(replay["first_deviation"]))
        others = len(replay["deviations"]) - 1
        differ = "quantity differs" if others == 1 else "quantities differ"
        lines += [f"{others} more {differ} after it"] if others else []
    if replay["note"]:
        lines.append(f"note: {replay['note']}")
    lines += [
        f"then and now: {one['name']} was {_shown(one['then'])}, is {_shown(one['now'])}"
        for one in replay["environment"]
    ]
    if replay["unrecorded"] and not replay["identical"]:
        lines.append(f"then and now: not recorded then: {', '.join(replay['unrecorded'])}")
    if not replay["identical"] and not replay["environment"]:
        lines.append("then and now: nothing that is recorded differs")
    return lines


def _first(deviation: dict[str, Any]) -> str:
    k = deviation["iteration"]
    place = "at the end" if k is None else f"in pass {k + 1}"
    words = (
        f"first difference {place}: {deviation['quantity']} was {_shown(deviation['recorded'])}, "
        f"is {_shown(deviation['replayed'])}"
    )
    absolute, relative = deviation["absolute"], deviation["relative"]
    if absolute is None:
        return words
    by = f"{absolute:.3g}" + ("" if relative is None else f", relative {relative:.3g}")
    return f"{words} (absolute {by})"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.17g}"
    text = str(value)
    return f"{text[:12]}..." if len(text) == 64 else text  # a digest
