"""The columns of the parameters in a list of trials, whatever names another program gave them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from optuna.distributions import CategoricalDistribution

from cvfp_opt.report.column import Column, Kind
from cvfp_opt.report.rows import Cell
from cvfp_opt.report.words import parameter, short_name
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.store.record.summary import Summary

# What a parameter's column is called where another one has its name; as Optuna's tables do.
_PREFIX = "params_"


def parameter_columns(summary: Summary, others: Sequence[Column]) -> list[Column]:
    """List the columns of all parameters that a study's trials have.

    Args:
        summary: of the study.
        others: the columns beside them, whose names and headings are taken.
    """
    names = list(dict.fromkeys(name for trial in summary.trials for name in trial.params))
    # neither the name nor the heading of another column, so that each means one
    columns = [name for column in others for name in (column.name, column.heading)]
    headings = [*(column.heading for column in others), *map(short_name, names)]
    found: list[Column] = []
    for name in names:
        column = _free_name(name, columns)
        columns.append(column)
        short = short_name(name)
        found.append(
            Column(
                name=column,
                heading=short if headings.count(short) == 1 else column,
                take=_parameter(name),
                importance=80,
                write=parameter,
                **_choices(summary, name),
            )
        )
    return found


def _free_name(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name = f"{_PREFIX}{name}"
    return name


def _parameter(name: str) -> Callable[[TrialRecord], Cell]:
    def take(trial: TrialRecord) -> Cell:
        value = trial.params.get(name)
        return value if value is None or isinstance(value, str | int | float) else str(value)

    return take


def _choices(summary: Summary, name: str) -> dict[str, Any]:
    """Say what a parameter can be, if it is one out of several values or has been a text."""
    drawn: Iterable[Any] = (trial.params.get(name) for trial in summary.trials)
    distribution = summary.distributions.get(name)
    known = distribution.choices if isinstance(distribution, CategoricalDistribution) else ()
    words = dict.fromkeys(str(one) for one in (*known, *drawn) if isinstance(one, str | bool))
    return {"kind": Kind.CHOICE, "words": tuple(words)} if known or words else {}
