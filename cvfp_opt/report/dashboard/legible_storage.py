"""A database as optuna-dashboard can read it: without values that are not of the form it takes.

One note that is no text, or one figure of which a piece is missing, and it answers every request
for the study with a fault.
"""

import copy
import json
import re
from collections import defaultdict
from collections.abc import Callable, Container, Mapping
from functools import lru_cache
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from cvfp_opt.store.database.number_checks import is_finite, is_whole
from cvfp_opt.store.database.optuna_private import FrozenStudy
from cvfp_opt.store.database.storage import KeptTrials, Store
from cvfp_opt.store.record.study_page import legible_notes

# Values remembered to be valid: an open page asks every few seconds.
_REMEMBERED = 4096
_MAX_WHOLE = 2**53
_FIGURE = re.compile(r"dashboard:plot_data:(.*):([0-9]{1,9})", re.DOTALL)
_FIGURES = "dashboard:plot_data:"


class LegibleStorage(KeptTrials):
    """A database's storage, with what it keeps, for the dashboard; writes as that one does.

    Args:
        store: the database.
    """

    def __init__(self, store: Store) -> None:
        self.__dict__ |= store.storage.__dict__

    def get_all_studies(self) -> list[FrozenStudy]:
        studies = super().get_all_studies()
        for study in studies:
            study.system_attrs = legible(study.system_attrs)
        return studies

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return legible(super().get_study_system_attrs(study_id))

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return _trial(super().get_trial(trial_id))

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        self.forget_former(study_id)  # pages name a study by its number
        return [_trial(one) for one in super().get_all_trials(study_id, deepcopy, states)]


def legible(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out of a study's system attributes what optuna-dashboard cannot read."""
    found = {key: value for key, value in attributes.items() if _fits(key, value, _OF_STUDIES)}
    return _whole_figures(legible_notes(found))


def _trial(trial: FrozenTrial) -> FrozenTrial:
    attributes = trial.system_attrs
    kept = {key: value for key, value in attributes.items() if _fits(key, value, _OF_TRIALS)}
    if len(kept) == len(attributes):
        return trial
    trial = copy.copy(trial)  # the other is shared
    trial.system_attrs = kept
    return trial


def _whole_figures(attributes: dict[str, Any]) -> dict[str, Any]:
    """Leave out figures of which a piece is missing, or no text."""
    pieces: defaultdict[str, dict[int, Any]] = defaultdict(dict)
    others = {}
    for key, value in attributes.items():
        if found := _FIGURE.fullmatch(key):
            pieces[found[1]][int(found[2])] = value
        elif not key.startswith(_FIGURES):
            others[key] = value
    for title, by_place in pieces.items():
        listed = [by_place.get(place) for place in range(len(by_place))]
        if all(isinstance(one, str) for one in listed) and _is_object("".join(map(str, listed))):
            others |= {f"{_FIGURES}{title}:{place}": one for place, one in enumerate(listed)}
    return others


@lru_cache(maxsize=_REMEMBERED)
def _is_object(text: str) -> bool:
    return isinstance(_read(text), dict)


def _read(text: Any) -> Any:
    """Parse a text as JSON; None for what is none, or has what browsers do not read."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (TypeError, ValueError, RecursionError):
        return None


def _refuse(constant: str) -> None:
    raise ValueError(constant)


@lru_cache(maxsize=_REMEMBERED)
def _names_artifact(text: str) -> bool:
    """Check whether it is Optuna's account of an artifact, or what stands for a removed one."""
    found = _read(text)
    return text == "null" or (
        isinstance(found, dict)
        and all(isinstance(found.get(k), str) for k in ("artifact_id", "filename", "mimetype"))
    )


def _artifact(value: Any) -> bool:
    return isinstance(value, str) and _names_artifact(value)


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _widgets(value: Any) -> bool:
    return _is_list_of(value, lambda one: isinstance(one, dict)) and _is_plain(value)


def _form(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("output_type"), str)
        and _widgets(value.get("widgets"))
    )


def _pairs(value: Any) -> bool:
    return _is_list_of(
        value, lambda pair: len(pair) == 2 and all(is_whole(n, _MAX_WHOLE) for n in pair)
    )


def _choice(value: Any) -> bool:
    found = _read(value)
    return (
        isinstance(found, dict)
        and found.keys() >= {"mode", "id", "timestamp", "candidates", "clicked", "preferences"}
        and isinstance(found["id"], str)
        and isinstance(found["timestamp"], str)
        and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?", found["timestamp"], re.A)
        is not None
        and _pairs(found["preferences"])
    )


def _component(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("output_type"), str)


def _is_list_of(value: Any, fits: Callable[[Any], bool]) -> bool:
    try:
        return isinstance(value, list) and all(map(fits, value))
    except TypeError:
        return False


def _is_plain(value: Any) -> bool:
    """Check whether a browser reads a value: no infinity, no NaN."""
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return False
    return True


# Checks by the beginning of a key.
_OF_STUDIES: Mapping[str, Callable[[Any], bool]] = {
    "artifacts:": _artifact,
    "dashboard:artifacts:": _artifact,
    "study:metric_names": _names,
    "dashboard:objective_names": _names,
    "dashboard:form_widgets:v2": _form,
    # a list, and in its first version the JSON of one
    "dashboard:objective_form_widgets": lambda value: _widgets(
        _read(value) if isinstance(value, str) else value
    ),
    "preference:is_preferential": lambda value: isinstance(value, bool),
    "preference:values": _pairs,
    "preference:history": _choice,
    "preference:component": _component,
}
_OF_TRIALS: Mapping[str, Callable[[Any], bool]] = {
    "artifacts:": _artifact,
    "fixed_params": lambda value: isinstance(value, dict),
    "constraints": lambda value: _is_list_of(value, is_finite),
    "constraints:": is_finite,
}


def _fits(key: str, value: Any, checks: Mapping[str, Callable[[Any], bool]]) -> bool:
    """Check a value by the longest beginning of its key that there is a check for."""
    starts = [start for start in checks if key.startswith(start)]
    return checks[max(starts, key=len)](value) if starts else True
