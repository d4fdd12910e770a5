"""Checks of what decides how a trial is trained: its parameters, as they are recorded, and marks.

Parameters decide what is trained, and one that is a word can name code. Whoever shares a database
or made an export can write any: what the space does not have is never trained by.
"""

import reprlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cvfp_opt.escaping import excerpt, listed
from cvfp_opt.store.database.number_checks import is_finite
from cvfp_opt.store.record.identity import IDENTITY_KEY, TrialIdentity
from cvfp_opt.store.record.records import CONFIRMATION_RUN, FIXED_PARAMS, is_confirmation_run

# Relative tolerance: a draw on a log scale may miss its bound by the last bits.
_ROUNDING = 1e-9


def strangers(space: Mapping[str, Any], params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """List the parameters that lie outside a space, each with what is wrong.

    Args:
        space: ``[space]`` of a recorded definition: by name ``{low, high, log}``, a list of
            words, or a value that is fixed. Left empty it stands for defaults that are not known
            here: then settings of other sections (``section.key``) are strange, and no others.
        params: of a trial, by Optuna's names.
    """
    for name, value in params.items():
        if name in space:
            problem = _problem(space[name], value)
        else:
            problem = "the study's space has no such parameter" if space or "." in name else ""
        if problem:
            yield name, problem


def _problem(dimension: Any, value: Any) -> str:
    """Explain why a value does not lie in a dimension; "" if it does."""
    shown = _shown(value)
    if isinstance(dimension, Mapping):
        low, high = dimension.get("low"), dimension.get("high")
        if all(map(is_finite, (low, high, value))) and _is_between(low, value, high):
            return ""
        return f"a number from {_shown(low)} to {_shown(high)} is required, got {shown}"
    if isinstance(dimension, list | tuple):
        if isinstance(value, str) and value in dimension:
            return ""
        return f"one of {listed(map(_shown, dimension))} is required, got {shown}"
    if type(value) is not bool and value == dimension:
        return ""
    return f"the study fixes it at {_shown(dimension)}, got {shown}"


def _is_between(low: Any, value: Any, high: Any) -> bool:
    slack = _ROUNDING * max(abs(low), abs(high))
    return bool(low - slack <= value <= high + slack)


def _shown(value: Any) -> str:
    return excerpt(value if isinstance(value, str) else reprlib.repr(value), 60)


def unfit(attributes: Mapping[str, Any]) -> str:
    """Explain why a trial with these system attributes cannot be run; "" if it can."""
    checks: dict[str, tuple[Callable[[Any], bool], str]] = {
        IDENTITY_KEY: (
            lambda value: TrialIdentity.read(value) is not None,
            "an identity of this version",
        ),
        CONFIRMATION_RUN: (is_confirmation_run, "a point of a confirmation"),
        FIXED_PARAMS: (lambda value: isinstance(value, dict), "a table of parameters"),
    }
    for key, (is_right, required) in checks.items():
        if key in attributes and not is_right(attributes[key]):
            return f"attribute {key}: {required} is required, got {reprlib.repr(attributes[key])}"
    return ""
