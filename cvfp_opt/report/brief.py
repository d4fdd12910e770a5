"""What Python prints of a study, a trial, a confirmation, a plan or a network: a few lines."""

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution

from cvfp_opt.escaping import printable
from cvfp_opt.report.confirmation import confirmation_of
from cvfp_opt.report.confirmation_words import confirmation_line
from cvfp_opt.report.network import NetworkRecord
from cvfp_opt.report.settings import range_words, setting_words, unsearched
from cvfp_opt.report.words import number, parameters_line, value_words
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import Summary


def plan_text(name: str, changes: Mapping[str, Any], space: Mapping[str, BaseDistribution]) -> str:
    """Write what a study definition searches, and what else differs from the defaults.

    Args:
        name: of the definition.
        changes: values that differ from the defaults, by ``section.key``.
        space: of each searched parameter, by name.
    """
    lines = [f"Plan({name!r}): {len(space)} parameters are searched"]
    lines += [f"  {key}: {range_words(one)}" for key, one in space.items()]
    lines += [f"  {key} = {setting_words(one)}" for key, one in unsearched(changes, space)]
    return _lines(lines)


def study_text(summary: Summary) -> str:
    """Write how many trials a study has, and its best one, in one line."""
    counts = summary.counts
    trials = f"{len(summary.trials)} trial{'s' if len(summary.trials) != 1 else ''}"
    parts = [trials, f"{counts['complete']} complete"] if summary.trials else ["no trials yet"]
    parts += [_best(summary, summary.best)] if summary.best else []
    return _lines([f"Study({summary.name!r}, storage={summary.url!r}): {', '.join(parts)}"])


def _best(summary: Summary, best: TrialRecord) -> str:
    if summary.is_pareto and summary.record is None:
        return f"{len(summary.ranking)} on the Pareto front"
    value = number(best.value) if summary.record is not None else f"{best.value:.4g}"
    return f"best {value} (trial {best.number})"


def trial_text(summary: Summary, trial: TrialRecord) -> str:
    """Write how a trial ended, and its parameters."""
    worth = f", {value_words(summary, trial)}" if trial.values else ""
    ended = f", {trial.status}" if trial.status not in ("", trial.state) else ""
    lines = [f"Trial {trial.number} of study {summary.name!r}: {trial.state}{ended}{worth}"]
    return _lines([*lines, *([f"  {parameters_line(trial.params)}"] if trial.params else [])])


def confirmation_text(summary: Summary) -> str:
    """Write the verdict of fresh seeds on a study's best trial."""
    found = confirmation_of(summary)
    runs = f", {found.done} of {found.total} runs" if found else ""
    line = confirmation_line(summary, hint=False) or "none"
    return _lines([f"Confirmation of study {summary.name!r}{runs}", f"  {line}"])


def network_text(network: NetworkRecord) -> str:
    """Write what a network is, its score and the judgement of its audit."""
    score = f"  {network.score}" if network.score else ""
    lines = [network.title, f"  {network.sizes}", score, f"  {network.judgement}"]
    return _lines([line for line in lines if line])


def _lines(lines: list[str]) -> str:
    return "\n".join(map(printable, lines))
