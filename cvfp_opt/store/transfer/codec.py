"""Dumps as JSON, and back; everything that is read back is checked."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from optuna.study import StudyDirection
from optuna.trial import TrialState

from cvfp_opt.store.database.damage import all_parsed, values_read
from cvfp_opt.store.record.confirmation import confirmation_name
from cvfp_opt.store.record.links import Source
from cvfp_opt.store.record.records import CONFIRMATION_POINTS
from cvfp_opt.store.transfer.attribute_checks import (
    MIRROR_CHECKS,
    STUDY_CHECKS,
    SYSTEM_CHECKS,
    TRIAL_CHECKS,
    Check,
    check_of,
)
from cvfp_opt.store.transfer.dump import Dump, StudyDump, Texts, TrialDump
from cvfp_opt.store.transfer.json_values import Value, plain_number
from cvfp_opt.store.transfer.parameters import check_point, read_param

_DIRECTIONS = {direction.name: direction for direction in StudyDirection}
_STATES = {state.name: state for state in TrialState if state is not TrialState.RUNNING}
_MAX_DIRECTIONS = 64
_STUDY = ("name", "directions", "user_attrs", "system_attrs")
_TRIAL = (
    "number",
    "state",
    "uuid",
    "values",
    "params",
    "intermediate_values",
    "user_attrs",
    "system_attrs",
    "datetime_start",
    "datetime_complete",
)


def study_json(study: StudyDump) -> dict[str, Any]:
    """Convert a study without its trials to plain JSON."""
    return {
        "name": study.name,
        "directions": [direction.name for direction in study.directions],
        "user_attrs": _parsed(study.user_attrs),
        "system_attrs": _parsed(study.system_attrs),
    }


def trial_line(study: StudyDump, trial: TrialDump) -> str:
    """Write a trial as one line of JSON."""
    identity = study.identity(trial)
    with values_read(f"study {study.name}, trial {trial.number}"):
        params = [
            {"name": p.name, "value": p.value, "distribution": json.loads(p.distribution)}
            for p in trial.params
        ]
    value = {
        "number": trial.number,
        "state": trial.state.name,
        "uuid": identity.uuid if identity else None,
        "values": [plain_number(value) for value in trial.values],
        "params": params,
        "intermediate_values": [[s, plain_number(v)] for s, v in trial.intermediate.items()],
        "user_attrs": _parsed(trial.user_attrs),
        "system_attrs": _parsed(trial.system_attrs),
        "datetime_start": trial.started and trial.started.isoformat(),
        "datetime_complete": trial.completed and trial.completed.isoformat(),
    }
    return json.dumps(value) + "\n"


def _parsed(texts: Texts) -> dict[str, Any]:
    return all_parsed(texts)


def read_dump(
    study: tuple[Value, Iterable[Value]],
    mirrors: Iterable[tuple[Value, Iterable[Value]]],
    confirmation: tuple[Value, Iterable[Value]] | None = None,
) -> Dump:
    """Read a dump: for each study of it, what ``study_json`` and ``trial_line`` gave.

    Raises:
        ArchiveError: anything is not as an export writes it.
        StudyError: the study was written by a newer version of this program.
    """
    read = _read_study(*study, checks=STUDY_CHECKS)
    source = Source.of(read.name, _parsed(read.user_attrs))
    names: set[str] = set()
    found = []
    for header, lines in mirrors:
        mirror = _read_study(header, lines, checks=MIRROR_CHECKS)
        if not source.has_mirror(mirror.name, _parsed(mirror.user_attrs)):
            raise header.refuse(f"a mirror of {read.name!r}")
        if mirror.name in names:
            raise header.refuse("one mirror of each name")
        names.add(mirror.name)
        found.append(mirror)
    confirmed = confirmation and _read_confirmation(*confirmation, read)
    return Dump(study=read, mirrors=tuple(found), confirmation=confirmed)


def _read_confirmation(header: Value, lines: Iterable[Value], of: StudyDump) -> StudyDump:
    read = _read_study(header, lines, checks=STUDY_CHECKS)
    attrs = _parsed(read.user_attrs)
    source = Source.of(of.name, _parsed(of.user_attrs))
    linked = CONFIRMATION_POINTS in attrs and source.has_confirmation(read.name, attrs)
    if of.record is None or not linked or read.name != confirmation_name(of.name):
        raise header.refuse(f"the confirmation of {of.name!r}")
    if read.record is None:
        raise header.refuse("a confirmation with a record")
    return read


def _read_study(
    header: Value, lines: Iterable[Value], *, checks: Mapping[str, Check]
) -> StudyDump:
    name, directions, user_attrs, system_attrs = header.members(*_STUDY)
    study = StudyDump(
        name=name.name(),
        directions=tuple(d.one_of(_DIRECTIONS) for d in directions.elements()),
        user_attrs=_read_texts(user_attrs, checks),
        system_attrs=_read_texts(system_attrs, SYSTEM_CHECKS),
        trials=(),
    )
    if not 1 <= len(study.directions) <= _MAX_DIRECTIONS:
        raise directions.refuse(f"1 to {_MAX_DIRECTIONS} directions")
    own = TRIAL_CHECKS if study.record or checks is MIRROR_CHECKS else {}
    trials, uuids = [], set()
    for number, line in enumerate(lines):
        trial = _read_trial(line, number, study, own)
        uuid = line.value["uuid"]
        identity = study.identity(trial)
        if uuid != (identity.uuid if identity else None) or (uuid and uuid in uuids):
            raise Value(uuid, f"{line.where}, uuid").refuse("the trial's own identity")
        uuids.add(uuid)
        if study.record:
            check_point(line, study.record)
        trials.append(trial)
    return replace(study, trials=tuple(trials))


def _read_trial(
    line: Value, number: int, study: StudyDump, checks: Mapping[str, Check]
) -> TrialDump:
    own_number, state, _, values, params, intermediate, *attrs, start, end = line.members(*_TRIAL)
    read = TrialDump(
        number=own_number.whole(number, number),
        state=state.one_of(_STATES),
        values=tuple(value.number(nan=False) for value in values.elements()),
        params=tuple(map(read_param, params.elements())),
        intermediate=_read_intermediate(intermediate),
        user_attrs=_read_texts(attrs[0], checks),
        system_attrs=_read_texts(attrs[1], SYSTEM_CHECKS),
        started=start.optional(_read_datetime),
        completed=end.optional(_read_datetime),
    )
    expected = len(study.directions)
    if len(read.values) != expected and (read.values or read.state is TrialState.COMPLETE):
        raise values.refuse(f"a value for each of {expected} directions")
    if len({param.name for param in read.params}) < len(read.params):
        raise params.refuse("one parameter of each name")
    return read


def _read_texts(value: Value, checks: Mapping[str, Check]) -> Texts:
    texts = {}
    for key, item in value.items():
        check = check_of(key, checks)
        if check:
            check(item)
        texts[key] = json.dumps(item.shallow())
    return texts


def _read_intermediate(value: Value) -> dict[int, float]:
    found: dict[int, float] = {}
    for element in value.elements():
        step, number = element.pair()
        if step.whole(0) in found:
            raise step.refuse("one value of each step")
        found[step.whole(0)] = number.number(nan=True)
    return dict(sorted(found.items()))


def _read_datetime(value: Value) -> datetime:
    try:
        read = datetime.fromisoformat(value.text())
    except ValueError:
        read = None
    # what all databases can hold
    if read is None or read.tzinfo is not None or not 1970 <= read.year < 9999:
        raise value.refuse("a time in UTC without a zone, as 2025-01-31T12:00:00.5")
    return read
