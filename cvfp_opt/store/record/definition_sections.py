"""Sections of a recorded study definition; keys newer than the record are completed.

They are plain JSON, ``{section: {key: value}}``: nothing here knows what a key means.
"""

import re
from collections.abc import Mapping
from typing import Any

from cvfp_opt.errors import DefinitionError
from cvfp_opt.store.record.attribute_shapes import SECTIONS

Sections = dict[str, dict[str, Any]]

# Values that say what was done before these keys existed. A recorded definition writes out every
# key of its time:
# one that lacks these is older than they are.
FORMER: Sections = {
    "objective": {"feasible": "any", "downstream": False},
    "training": {
        "learning_rate_schedule": "constant",
        "precision": "float32",
        "training_pass": "exact",
        "measuring_pass": "sequential",
    },
    "search": {
        "min_untrained_rank": 0.0,
        "max_sampler_trials": 0,
        "first_points": [],
        "sampler_settings": {},
        "pruner_settings": {},
    },
}


def missing_keys(definition: Mapping[str, Mapping[str, Any]]) -> Sections:
    """List the keys that a recorded definition is older than, with what was done then."""
    return {
        section: {k: v for k, v in keys.items() if k not in definition.get(section, {})}
        for section, keys in FORMER.items()
    }


def completed(definition: Mapping[str, Mapping[str, Any]]) -> Sections:
    """Complete a recorded definition by the keys that it is older than."""
    missing = missing_keys(definition)
    return {name: {**keys, **missing.get(name, {})} for name, keys in definition.items()}


def with_parameters(
    definition: Mapping[str, Mapping[str, Any]], params: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Put a trial's parameters into a definition's sections as values, each where it belongs.

    The four main parameters stay in ``[space]``; a setting, ``section.key`` or ``section.key[i]``,
    moves to its own section.
    """
    sections = {name: dict(section) for name, section in definition.items()}
    space = sections["space"]
    for name, value in (space | dict(params)).items():
        section, dot, key = name.partition(".")
        if not dot:
            space[name] = value
            continue
        if section not in sections:
            raise DefinitionError(f"space.{name}: there is no section [{section}]")
        if name not in params and isinstance(value, dict | list):
            continue  # still searched
        space.pop(name, None)
        key, bracket, index = key.partition("[")
        if bracket:
            values = sections[section].get(key)
            values = list(values) if isinstance(values, list | tuple) else []
            digits = index.removesuffix("]")
            place = int(digits) if re.fullmatch("[0-9]{1,9}", digits) else len(values)
            if place >= len(values):
                raise DefinitionError(
                    f"space.{name}: {section}.{key} has the places 0 to {len(values) - 1}; "
                    f"give it as many values as are searched"
                )
            values[place] = value
            value = values
        sections[section][key] = value
    return sections


def with_changes(
    sections: Mapping[str, Mapping[str, Any]], changes: Mapping[str, Any]
) -> Sections:
    """Change some keys, ``section.key``, of a definition's sections.

    None for a key of [space] that is left out.

    Raises:
        DefinitionError: a change names no section.
    """
    changed = {name: dict(section) for name, section in sections.items()}
    for name, value in changes.items():
        section, _, key = name.partition(".")
        if section not in SECTIONS or not key:
            raise DefinitionError(
                f"a changed key of the definition: section.key is required, got {name!r}"
            )
        if value is None:
            changed.setdefault(section, {}).pop(key, None)
        else:
            changed.setdefault(section, {})[key] = value
    return changed
