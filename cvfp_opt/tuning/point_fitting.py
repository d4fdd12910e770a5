"""Points made to fit a study: how one study's parameters become another's.

A parameter that is searched here has to lie in its range, or is clipped to it if that was asked
for; one that is fixed here has to be equal; one that is unknown here is refused, or left out if
that was asked for. What a point does not say is left to the sampler.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cvfp_opt.errors import nearest
from cvfp_opt.tuning.space import Choices, FloatRange, IntRange, Range
from cvfp_opt.tuning.typed_values import hint, shown

if TYPE_CHECKING:
    from cvfp_opt.tuning.definition import StudyDefinition


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A point as a study can run it.

    Attributes:
        params: of the trial, each searched by the study.
        notes: what was clipped or left out, a sentence each.
        problems: why it does not fit, a sentence each; empty if it does.
    """

    params: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def fit(
    definition: "StudyDefinition",
    point: Mapping[str, Any],
    *,
    clip: bool = False,
    ignore: bool = False,
    drop_fixed: bool = False,
) -> Fitted:
    """Fit a point to a study.

    Args:
        definition: of the study.
        point: values by Optuna's names.
        clip: move numbers outside of a range to its nearest bound.
        ignore: leave out what the study does not know.
        drop_fixed: leave out what is fixed in the study at another value.
    """
    fitted = Fitted()
    searched = definition.space.searched
    for name, value in point.items():
        if name in searched:
            _fit_searched(fitted, name, value, searched[name], clip)
            continue
        fixed = fixed_value(definition, name)
        if fixed is None:
            known = nearest(name, definition.space.dimensions)
            if ignore:
                fitted.notes.append(f"{name} = {shown(value)} left out: unknown here")
            else:
                fitted.problems.append(f"{name}: unknown here; {known}")
        elif value != fixed and drop_fixed:
            fitted.notes.append(f"{name} = {shown(value)} left out: fixed at {shown(fixed)}")
        elif value != fixed:
            fitted.problems.append(
                f"{name}: fixed here at {shown(fixed)}, the point has {shown(value)}"
            )
    if not fitted.params and not fitted.problems:
        names = ", ".join(searched) or "none"
        fitted.problems.append(f"the point says nothing of what is searched here ({names})")
    return fitted


def fixed_value(definition: "StudyDefinition", name: str) -> Any:
    """Look up a parameter or setting that a study does not search; None if it has none.

    Of a list, one place is meant: ``schedule.stage_weights[0]``.
    """
    if name in definition.space.searched:
        return None
    if name in definition.space.dimensions:
        return definition.space.dimensions[name]
    return written_value(definition, name)


def written_value(definition: "StudyDefinition", name: str) -> Any:
    """Look up a setting in its own section, searched or not; None if there is no such setting."""
    section, _, key = name.partition(".")
    key, bracket, index = key.partition("[")
    value = definition.to_dict().get(section, {}).get(key)
    if not bracket:
        return value
    place = index.removesuffix("]")
    if not isinstance(value, list | tuple) or not place.isdecimal() or int(place) >= len(value):
        return None
    return value[int(place)]


def _fit_searched(
    fitted: Fitted, name: str, value: Any, dimension: Range | Choices, clip: bool
) -> None:
    if isinstance(dimension, tuple):
        if value in dimension:
            fitted.params[name] = value
        else:
            fitted.problems.append(f"{name}: {shown(value)}: {nearest(str(value), dimension)}")
        return
    number = _number(value, dimension)
    if number is None:
        wanted = "a whole number" if isinstance(dimension, IntRange) else "a number"
        kind = int if isinstance(dimension, IntRange) else float
        typed = hint(value, (kind,))
        fitted.problems.append(f"{name}: {wanted} is required, got {shown(value)}{typed}")
        return
    inside = min(max(number, dimension.low), dimension.high)
    if inside != number:
        bounds = f"[{dimension.low:g}, {dimension.high:g}]"
        if not clip:
            fitted.problems.append(f"{name}: {number:g} lies outside of its range {bounds}")
            return
        fitted.notes.append(f"{name} = {number:g} clipped to {inside:g}: its range is {bounds}")
    fitted.params[name] = inside


def _number(value: Any, dimension: FloatRange | IntRange) -> float | int | None:
    """Convert a value to the dimension's kind of number; None if it is none of that kind."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    if isinstance(dimension, FloatRange):
        return float(value)
    return int(value) if value == int(value) else None
