"""Checks of the parameters in an export: within their distributions and the study's space."""

import json
import reprlib
import warnings
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, json_to_distribution

from cvfp_opt.errors import ArchiveError, DefinitionError
from cvfp_opt.store.record.definition_sections import completed, with_changes
from cvfp_opt.store.record.point_checks import strangers
from cvfp_opt.store.record.records import CONFIRMATION_RUN, FIXED_PARAMS, StudyRecord, drifted
from cvfp_opt.store.transfer.dump import Param
from cvfp_opt.store.transfer.json_values import Value


def read_param(value: Value) -> Param:
    """Read a parameter that its distribution allows. Raises ArchiveError."""
    name, number, distribution = value.members("name", "value", "distribution")
    text = json.dumps(distribution.kind(dict))
    try:
        _check_param(text, number.finite())
    except _UNFIT:
        raise value.refuse("a parameter that fits its distribution") from None
    return Param(name=name.name(), value=number.finite(), distribution=text)


def check_point(line: Value, record: StudyRecord) -> None:
    """Refuse parameters of neither the study's space nor that of what a trial drifted to.

    A number that somebody enqueued may lie outside: Optuna takes it as it is. Nothing is trained
    by it here, see ``StudyDefinition.at``.

    Args:
        line: of a trial, whose parts were found right.
        record: of its study.

    Raises:
        ArchiveError: names the trial and the parameter.
    """
    user_attrs, system_attrs = line.value["user_attrs"], line.value["system_attrs"]
    params = {param["name"]: _external(param) for param in line.value["params"]}
    enqueued = system_attrs.get(FIXED_PARAMS, {})
    spaces = [record.definition["space"]]
    try:
        for changes in (
            drifted(user_attrs.get("environment", {})),
            system_attrs.get(CONFIRMATION_RUN, {}).get("changes", {}),
        ):
            if changes:
                changed = with_changes(completed(record.definition), changes)
                spaces.append(changed["space"])
    except DefinitionError as error:
        raise ArchiveError(f"{line.where}: {error}") from None
    for name, why in strangers(spaces[0], params):
        known = any(not list(strangers(space, {name: params[name]})) for space in spaces[1:])
        value = params[name]
        asked = name in spaces[0] and isinstance(value, int | float) and name in enqueued
        if not known and not (asked and enqueued[name] == value):
            number, named = line.value["number"], reprlib.repr(name)
            raise ArchiveError(f"{line.where}: trial {number}, parameter {named}: {why}")


def _external(param: Mapping[str, Any]) -> Any:
    """Convert the value of a parameter that ``read_param`` accepted to what a trial has."""
    return _made(json.dumps(param["distribution"])).to_external_repr(float(param["value"]))


# Errors that Optuna's constructors raise over nonsense.
_UNFIT = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError)


def _check_param(distribution: str, value: float) -> None:
    made = _made(distribution)
    if isinstance(made, CategoricalDistribution):
        if not (value.is_integer() and 0 <= value < len(made.choices)):
            raise ValueError
    else:
        made.to_external_repr(value)


@lru_cache(maxsize=4096)
def _made(distribution: str) -> BaseDistribution:
    """Make a distribution of its JSON; raises any error of ``_UNFIT``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Optuna, about its older distributions
        made = json_to_distribution(distribution)
    plain = str | int | float | None
    choices = made.choices if isinstance(made, CategoricalDistribution) else ()
    if not all(isinstance(choice, plain) for choice in choices):
        raise TypeError
    return made
