"""Tables for terminals and logs."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from cvfp_opt.escaping import printable
from cvfp_opt.report.environment_groups import segments, segments_line
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.studies import StudySummary
from cvfp_opt.store.record.summary import Summary, untrained_score

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


STAGE = "schedule.stage_weights["


def share(value: float | None) -> str:
    """A rate as a percentage."""
    return "-" if value is None else f"{value:.1%}"


def number(value: float | None, digits: int = 3) -> str:
    """A figure, or a dash."""
    return "-" if value is None else f"{value:.{digits}f}"


def sentence(clause: str) -> str:
    """With a full stop, and a capital unless it begins with the name of a parameter."""
    first = clause.split(" ", 1)[0]
    is_name = "_" in first or "." in first
    return f"{clause if is_name else clause[0].upper() + clause[1:]}."


def parameter(value: Any, digits: int = 4) -> str:
    """A parameter's value: a number with some significant digits, or as it is."""
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def short_name(name: str) -> str:
    """A parameter's name for a column: ``schedule.stage_weights[0]`` is ``stage 1``."""
    place = name.removeprefix(STAGE).removesuffix("]")
    if name.startswith(STAGE) and place.isdecimal():
        return f"stage {int(place) + 1}"
    return SHORT_NAMES.get(name, name.rpartition(".")[2].replace("_", " "))


def parameters_line(params: dict[str, Any]) -> str:
    """Parameters in one line, whatever names and values another program gave them."""
    return printable("  ".join(f"{short_name(k)} {parameter(v, 3)}" for k, v in params.items()))


def duration(seconds: float) -> str:
    """Wall time in the two largest units."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def moment(seconds: float) -> str:
    """A time in epoch seconds, for people: in UTC, so that all machines say the same."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _cell(text: object) -> Text:
    """Make a cell of text, whoever wrote it: one line, no markup, no escapes."""
    return Text(printable(text))


def _table(title: str, *columns: str) -> Table:
    table = Table(
        title=_cell(title), title_justify="left", title_style="bold", box=None, pad_edge=False
    )
    for column in columns:
        table.add_column(_cell(column), justify="right", no_wrap=True)
    return table


def scored(trial: TrialRecord) -> dict[str, Any]:
    """Convergence rate and effective rank as they were scored, if they were."""
    return trial.scored or trial.metrics


def best_table(ranking: list[TrialRecord], title: str = "") -> Table:
    """Scores and parameters of the best trials."""
    names = list(dict.fromkeys(name for trial in ranking for name in trial.params))
    table = _table(
        title or (f"The best {len(ranking)}" if len(ranking) > 1 else "The best"),
        "trial",
        "score",
        "untrained",
        "convergence",
        "rank",
        *map(short_name, names),
        "ended",
    )
    for column in table.columns[5:-1]:
        column.no_wrap = False  # names of parameters may take two lines
    for trial in ranking:
        table.add_row(
            str(trial.number),
            number(trial.value),
            number(untrained_score(trial)),
            share(scored(trial).get("convergence_rate")),
            share(scored(trial).get("effective_rank")),
            *(_cell(parameter(trial.params[n]) if n in trial.params else "-") for n in names),
            _cell(trial.status),
        )
    return table


def audit_table(ranking: list[TrialRecord]) -> Table:
    """What the score does not say, for the same trials."""
    table = _table(
        "Their audit (thresholds 0.1 for all; frozen: two reads with the final weights)",
        "trial",
        "absolute",
        "scale-free",
        "frozen: seen",
        "unseen",
        "rank: unseen",
        "lyapunov",
        "norm",
        "degenerate",
    )
    for trial in ranking:
        audit = trial.audit
        if not audit:
            table.add_row(str(trial.number), *["-"] * 8)
            continue
        flags = [f for f in ("global_attractor", "near_zero", "identity_map") if audit[f]]
        table.add_row(
            str(trial.number),
            share(audit["absolute_convergence"]),
            share(audit["scale_free_convergence"]),
            share(audit["frozen_train"]["convergence"]),
            share(audit["frozen_held_out"]["convergence"]),
            share(audit["frozen_held_out"]["effective_rank"]),
            number(audit["lyapunov_exponent"], 2),
            number(audit["context_norm"], 1),
            ", ".join(flags) or "no",
        )
    return table


def checks_table(checks: list[dict[str, Any]]) -> Table:
    """Checks of `verify`, a row each; see single.verify.Check."""
    table = _table("", "check", "text", "figure", "limit", "", "what it means")
    table.title = None
    for column in (table.columns[0], table.columns[1], table.columns[4], table.columns[5]):
        column.justify = "left"
    table.columns[5].no_wrap = False
    for check in checks:
        verdict = Text("pass", "green") if check["passed"] else Text("FAIL", "bold red")
        table.add_row(
            check["name"],
            check["split"],
            check["shown"],
            check["limit"],
            verdict,
            check["meaning"],
        )
    return table


def reproduction_lines(name: str, experiment: dict[str, Any], standard: int) -> list[str]:
    """An experiment of `reproduce`: the report's figures, ours, and the explanation."""
    lines = [f"{name}: {experiment['title']}"]
    if experiment["tokens"] != standard:
        lines.append(
            f"short form: {experiment['tokens']} tokens, where the report has {standard}; ranks "
            "and rates of the two are not comparable, what happens is"
        )
    for row in experiment["variants"]:
        lines += [f"  {row['label']}", f"    the report: {row['report']}"]
        if row["convergence"] is not None:
            lines.append(
                f"    here:       {share(row['convergence'])} / "
                f"{share(row['validation_convergence'])} converged, rank {share(row['rank'])} / "
                f"{share(row['validation_rank'])}, residual {number(row['residual'])}, "
                f"{row['optimizer_steps']} optimizer steps"
            )
        lines.append(f"    ended:      {row['outcome']}")
    return [*lines, f"  why: {experiment['explanation']}"]


def rows_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Words in columns, the first one to the left; they are never markup."""
    table = _table("", *columns)
    table.title = None
    table.columns[0].justify = "left"
    for column in table.columns[1:]:
        column.no_wrap, column.overflow = False, "fold"
    for row in rows:
        table.add_row(*map(_cell, row))
    return table


def studies_table(rows: list[StudySummary]) -> Table:
    """All studies of a database."""
    table = _table("", "study", "complete", "pruned", "fail", "running", "waiting", "best")
    table.title = None
    table.columns[0].justify = "left"
    for row in rows:
        counts = [str(row.num_trials.get(s, 0)) for s in _COUNTED]
        name = f"{row.name} ({row.note})" if row.note else row.name
        table.add_row(_cell(name), *counts, number(row.best_value))
    return table


_COUNTED = ("complete", "pruned", "fail", "running", "waiting")


def value_words(summary: Summary, trial: TrialRecord) -> str:
    """What a trial is worth: its score, or what another program minimized or maximized."""
    if trial.value is not None and summary.record is not None:
        return f"score {trial.value:.4f}"
    values = trial.values or ([] if trial.value is None else [trial.value])
    words = [
        f"{value:.6g} ({direction}d)"
        for value, direction in zip(values, summary.directions, strict=False)
    ]
    return f"value{'s' if len(words) > 1 else ''} {', '.join(words)}"


def drift_lines(summary: Summary) -> list[str]:
    """What the trials ran on, if that changed, and what was allowed to; a line each."""
    line = segments_line(segments(summary.trials))
    lines = [line] if line else []
    for one in summary.drift:
        names = ", ".join(key.removeprefix("definition.") for key in one.what)
        lines.append(f"drift allowed by {one.who} on {moment(one.when)}: {names}")
    return lines


def status_lines(summary: Summary, history: str = "") -> list[str]:
    """A study's state in a few lines; ``history`` is one of them, see report.history."""
    counts = ", ".join(f"{n} {state}" for state, n in summary.counts.items() if n)
    lines = [
        f"study {summary.name} in {summary.url}",
        f"trials: {counts or 'none yet'}",
    ]
    if summary.note:
        lines.append(summary.note)
    best = summary.best
    if summary.is_pareto:
        numbers = ", ".join(str(trial.number) for trial in summary.ranking)
        objectives = {2: "two"}.get(len(summary.directions), str(len(summary.directions)))
        front = f"on the Pareto front: trials {numbers or 'none yet'}"
        lines.append(f"{objectives} objectives; {front}")
    if best is not None and best.value is not None:
        untrained = f" (untrained {number(untrained_score(best))})" if best.audit else ""
        lines.append(f"best: trial {best.number} with {value_words(summary, best)}{untrained}")
    lines += [history] if history else []
    lines += drift_lines(summary)
    seconds = summary.seconds
    total = sum(seconds.values())
    if total > 0:
        shares = ", ".join(f"{phase} {spent / total:.1%}" for phase, spent in seconds.items())
        count = sum(bool(trial.seconds) for trial in summary.trials)
        lines.append(
            f"time: {duration(total)} in {count} trials, {duration(total / count)} each: {shares}"
        )
    lines += [
        f"trial {trial.number} failed"
        + (f" ({trial.status}): {trial.reason}" if trial.status else ": no reason is stored")
        for trial in summary.trials
        if trial.state == "fail"
    ][-5:]
    return lines
