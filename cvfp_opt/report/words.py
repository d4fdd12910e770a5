"""How reports write numbers, times, names and commands: once, for terminals, pages and notes."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from cvfp_opt.escaping import positional, printable, quoted
from cvfp_opt.store.record.decisions import Degenerate, without_fixed_point
from cvfp_opt.store.record.records import TrialRecord, definition_of
from cvfp_opt.store.record.summary import Summary

# Names of parameters where a column has little room.
SHORT_NAMES = {
    "dist_reg_weight": "weight",
    "phase1_learning_rate": "lr",
    "phase1_convergence_threshold": "threshold",
    "layernorm_mix": "mix",
    "schedule.rank_limit": "rank limit",
    "schedule.convergence_limit": "conv. limit",
    "schedule.low_rank_weight": "low-rank weight",
    "schedule.low_convergence_weight": "low-conv. weight",
    "schedule.balanced_weight": "balanced weight",
}
_ITERATION = re.compile(r"\b(in|after) iteration (\d{1,9})\b")
STAGE = "schedule.stage_weights["

# Names of the texts that ``objective.split`` and an audit's reads mean.
TEXTS = {"train": "training text", "validation": "validation text", "held_out": "held-out text"}

# Flags of an audit by which a net is worth nothing, whatever its score.
DEGENERATE: Mapping[Degenerate, str] = {
    "global_attractor": "all contexts are the same",
    "near_zero": "all contexts are near zero",
    "identity_map": "contexts copy their tokens' embeddings",
}

# Constraints that a trial may violate: what its audit says against its score. Another program's
# are called by their own names.
_AGAINST: Mapping[str, str] = {
    "untrained": "no better than untrained",
    "optimizer_steps": "never trained",
    "scale": "contexts have shrunk",
    "threshold": "rests on its threshold",
    **dict[str, str](DEGENERATE.items()),
}


def against(trial: TrialRecord) -> list[str]:
    """Name the constraints that a trial violates; none if it is feasible."""
    violated = [name for name, value in trial.constraints.items() if value > 0.0]
    words = {**_AGAINST, "fixed_point": _no_fixed_point(trial)}
    return [words.get(name, printable(name)) for name in violated]


def against_words(trial: TrialRecord) -> str:
    """Name the constraints that a trial violates in one line; "" if it is feasible."""
    return ", ".join(against(trial))


def _no_fixed_point(trial: TrialRecord) -> str:
    """Say on which text a trial's net has no fixed point, where it has one on the other."""
    texts = without_fixed_point(trial.audit) if trial.audit else ()
    text = f" on {TEXTS[texts[0]]}" if len(texts) == 1 else ""
    return f"no fixed point{text}"


def share(value: float | None) -> str:
    """Write a rate as a percentage; nothing as a dash."""
    return "-" if value is None else f"{value:.1%}"


def number(value: float | None, digits: int = 3) -> str:
    """Write a figure with so many digits after the point; nothing as a dash."""
    return "-" if value is None else f"{value:.{digits}f}"


def parameter(value: Any, digits: int = 4) -> str:
    """Write a parameter's value: a number with some significant digits, all else as it is."""
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def duration(seconds: float) -> str:
    """Write a wall time in its two largest units."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def moment(seconds: float) -> str:
    """Write a time in epoch seconds as a date, in UTC, so that all machines say the same."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def sentence(clause: str) -> str:
    """Make a sentence of a clause; a parameter's name at its beginning keeps its letters."""
    first = clause.split(" ", 1)[0]
    is_name = "_" in first or "." in first
    return f"{clause if is_name else clause[0].upper() + clause[1:]}."


def reason_words(trial: TrialRecord) -> str:
    """Write why a trial ended, with its pass counted from 1, as everywhere that people read.

    What is stored counts iterations from 0; a replay compares it letter by letter.
    """
    return _ITERATION.sub(lambda found: f"{found[1]} pass {int(found[2]) + 1}", trial.reason)


def joined(names: Iterable[object]) -> str:
    """Write all of some names: ``1, 2 and 3``."""
    words = [str(name) for name in names]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def ranges(numbers: Iterable[int], places: Mapping[int, int] | None = None) -> list[str]:
    """Write ascending numbers as ranges: ``0-3``, ``7``.

    Args:
        numbers: of trials.
        places: of all numbers, where a range goes on over numbers that have no place.
    """
    found: list[list[int]] = []
    for number in numbers:
        place = places[number] if places else number
        if found and place == found[-1][2] + 1:
            found[-1][1:] = number, place
        else:
            found.append([number, number, place])
    return [f"{first}-{last}" if first < last else f"{first}" for first, last, _ in found]


def named_values(values: Mapping[str, object]) -> str:
    """Write values after their names: ``torch 2.13.0, numpy 2.3.0``."""
    return ", ".join(f"{name} {value}" for name, value in values.items())


def counts_line(counts: Mapping[str, int], none: str = "") -> str:
    """Write trials per state, those of which there are any: ``3 complete, 1 pruned``."""
    return ", ".join(f"{n} {state}" for state, n in counts.items() if n) or none


def short_name(name: str) -> str:
    """Shorten a parameter's name for a column: ``schedule.stage_weights[0]`` to ``stage 1``."""
    place = name.removeprefix(STAGE).removesuffix("]")
    if name.startswith(STAGE) and place.isdecimal():
        return f"stage {int(place) + 1}"
    return SHORT_NAMES.get(name, name.rpartition(".")[2].replace("_", " "))


def parameters_line(params: Mapping[str, Any]) -> str:
    """Write parameters in one line, whatever names and values another program gave them."""
    return printable("  ".join(f"{short_name(k)} {parameter(v, 3)}" for k, v in params.items()))


def trial_definition(summary: Summary, trial: TrialRecord) -> dict[str, Any]:
    """Return the definition that a trial was trained by; empty where there is no record."""
    return definition_of(summary.record, trial) if summary.record else {}


def fixed_parameters(definition: Mapping[str, Any], trial: TrialRecord) -> dict[str, Any]:
    """Select the parameters of a definition that were not searched, and the trial has not."""
    space = definition.get("space", {})
    single = {name: one for name, one in space.items() if not isinstance(one, dict | list)}
    return {name: one for name, one in single.items() if name not in trial.params}


def value_words(summary: Summary, trial: TrialRecord) -> str:
    """Say what a trial is worth: its score, or what another program minimized or maximized."""
    if trial.value is not None and summary.record is not None:
        perplexity = trial.downstream.get("held_out_perplexity")
        probed = "" if perplexity is None else f", perplexity {number(perplexity, 1)}"
        return f"score {trial.value:.4f}{probed}"
    values = trial.values or ([] if trial.value is None else [trial.value])
    words = [
        f"{value:.6g} ({direction}d)"
        for value, direction in zip(values, summary.directions, strict=False)
    ]
    return f"value{'s' if len(words) > 1 else ''} {', '.join(words)}"


def commands(summary: Summary, option: str = "") -> dict[str, str]:
    """List what can be typed about a study, by what it is for.

    Args:
        summary: of the study.
        option: what to add to a command to mean its database, see ``Location.option``.
    """
    name = f"--study-name {quoted(summary.name)}{option}"
    searched = f"--study-name {quoted(summary.confirms or summary.name)}{option}"
    found = {
        "run": f"cvfp-opt run {name}",
        "more": f"cvfp-opt run {name} --n-trials +10",
        "status": f"cvfp-opt status {name}",
        "best": f"cvfp-opt best {name}",
        "confirm": f"cvfp-opt confirm {searched}",
        "report": f"cvfp-opt report{option} {positional(summary.name)}",
        "dashboard": f"cvfp-opt dashboard {name}",
        "definition": f"cvfp-opt best {name} --toml > winner.toml",
        "again": "cvfp-opt run winner.toml --n-trials 1",
    }
    if summary.best is not None:
        found["replay"] = f"cvfp-opt trial replay {summary.best.number} {name}"
    return found
