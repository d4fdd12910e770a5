"""Checks of imported attributes, which this program will trust when it reads them again."""

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from functools import partial

from cvfp_opt.store.files.artifact_names import PREFIX as ARTIFACT
from cvfp_opt.store.queue.leases import FORMER_LEASE
from cvfp_opt.store.record.identity import IDENTITY_KEY
from cvfp_opt.store.record.mirrors import SOURCE_TRIAL
from cvfp_opt.store.record.records import (
    CONFIRMATION_POINTS,
    CONFIRMATION_RUN,
    CONFIRMS,
    FORMAT,
    MIRROR_OF,
    MIRRORED,
    STUDY,
    StudyRecord,
)
from cvfp_opt.store.transfer.json_values import Value

Check = Callable[[Value], object]
"""Raises ArchiveError for what does not fit."""

_MAX_SEED = 2**63 - 1
# Trials' own numbers use the lower half, seeds of confirmations the upper: record.confirmation.
_MAX_NUMBER = 2**32 - 1


def _dict(value: Value) -> object:
    return value.kind(dict)


def _dicts(value: Value) -> object:
    return [element.kind(dict) for element in value.elements()]


def _texts(value: Value) -> object:
    return [item.text() for _, item in value.items()]


def _no_mirror(value: Value) -> object:
    raise value.refuse("a study that is no mirror")


def _no_lease(value: Value) -> object:
    raise value.refuse("a trial that nobody runs")


def _identity(value: Value) -> object:
    return value.value == "" or value.hexadecimal(32)


def _definition(value: Value) -> None:
    """Check what the store itself reads of a definition: the search checks all of it later."""
    sections = dict(value.items())
    for section in sections.values():
        section.kind(dict)
    needed = {
        name: Value(keys.value.get(key), f"{keys.where}, {key}")
        for name, key in (("search", "seed"), ("objective", "split"))
        if (keys := sections.get(name))
    }
    if len(needed) < 2:
        raise value.refuse("a study definition")
    needed["search"].whole(0, _MAX_SEED)
    needed["objective"].text()


def _environment(value: Value) -> None:
    """Check a trial's environment; a drift in it is needed to train the trial again."""
    drift = Value(value.kind(dict).get("drift", {}), f"{value.where}, 'drift'").kind(dict)
    for key in ("keys", "located"):
        Value(drift.get(key, {}), f"{value.where}, 'drift', {key!r}").kind(dict)


_RECORD: Mapping[str, Check] = {
    "definition": _definition,
    "definition_digest": lambda value: value.hexadecimal(64),
    "data_digest": lambda value: value.hexadecimal(64),
    "created": Value.finite,
    "environment": _dict,
    "sources": lambda value: [_texts(item) for _, item in value.items()],
    "code": _texts,
    "uuid": _identity,
    "format": lambda value: value.whole(1, FORMAT),
}


def _record(value: Value) -> None:
    """Check a study's record; of a newer format, only that it says so."""
    found = value.kind(dict)
    if isinstance(found.get("format"), int) and found["format"] > FORMAT:
        return
    required = {
        field.name
        for field in fields(StudyRecord)
        if field.default is MISSING and field.default_factory is MISSING
    }
    if not required <= set(found) <= set(_RECORD):
        raise value.refuse("the record of a study")
    for key, item in value.items():
        _RECORD[key](item)


def _trial_identity(value: Value) -> None:
    uuid, seed, number, retry_of = value.members("uuid", "seed", "number", "retry_of")
    uuid.hexadecimal(32)
    seed.whole(0, _MAX_SEED)
    number.whole(0, _MAX_NUMBER)
    _identity(retry_of)


def _arm(value: Value) -> None:
    key, label, seed, changes = value.members("arm", "label", "seed", "changes")
    key.name()
    label.name()
    seed.whole(0)
    changes.kind(dict)


def _artifact(value: Value, named: str = "") -> None:
    """Check Optuna's account of an artifact, which the attribute's key names: JSON within JSON."""
    try:
        account = Value(json.loads(value.text()), value.where)
    except (ValueError, RecursionError):
        raise value.refuse("an account of an artifact") from None
    artifact_id, name, mimetype, encoding = account.members(
        "artifact_id", "filename", "mimetype", "encoding"
    )
    if artifact_id.text() != named:  # the key was checked, and Optuna's tools read this one
        raise artifact_id.refuse("the id that the attribute's name ends in")
    if set(name.name()) & set("/\\"):
        raise name.refuse("a file's name without a folder")
    mimetype.name()
    encoding.optional(Value.name)


def _arms(value: Value) -> None:
    """Check the points of a confirmation, see ``ConfirmationPoint``."""
    uuid, points = value.members("uuid", "arms")
    uuid.hexadecimal(32)
    for point in points.elements():
        key, params, changes, trial, reported = point.members(
            "key", "params", "changes", "trial", "reported"
        )
        key.name()
        params.kind(dict)
        changes.kind(dict)
        trial.optional(lambda number: number.whole(0))
        reported.optional(Value.finite)


STUDY_CHECKS: Mapping[str, Check] = {
    STUDY: _record,
    MIRROR_OF: _no_mirror,
    MIRRORED: _no_mirror,
    CONFIRMS: Value.name,
    CONFIRMATION_POINTS: _arms,
}
MIRROR_CHECKS: Mapping[str, Check] = {
    MIRROR_OF: Value.name,
    MIRRORED: lambda value: value.hexadecimal(32),
}

TRIAL_CHECKS: Mapping[str, Check] = {
    "status": Value.text,
    "reason": Value.text,
    "scored": _dict,
    "metrics": _dict,
    "iterations": _dicts,
    "audit": _dict,
    "seconds": _dict,
    "environment": _environment,
    SOURCE_TRIAL: lambda value: value.whole(0),
}

# System attributes of studies and trials; a key that ends in ":" is the beginning of one.
SYSTEM_CHECKS: Mapping[str, Check] = {
    IDENTITY_KEY: _trial_identity,
    FORMER_LEASE: _no_lease,
    ARTIFACT: _artifact,
    CONFIRMATION_RUN: _arm,
    "fixed_params": _dict,
}


def check_of(key: str, checks: Mapping[str, Check]) -> Check | None:
    """Look up the check of an attribute; None for another program's."""
    head, colon, rest = key.partition(":")
    if f"{head}{colon}" == ARTIFACT and ARTIFACT in checks:
        return partial(_artifact, named=rest)
    return checks.get(key) or checks.get(f"{head}{colon}")
