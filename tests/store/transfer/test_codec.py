"""A study as JSON and back: the same, or refused with the place and what was required."""

import json
from typing import Any

import pytest
from archives import account
from dumps import own_study, own_trial, studies
from hypothesis import given, settings

from cvfp_opt.errors import ArchiveError, StudyError
from cvfp_opt.store.transfer.codec import read_dump, study_json, trial_line
from cvfp_opt.store.transfer.dump import Dump, StudyDump
from cvfp_opt.store.transfer.json_values import Value


def as_json(study: StudyDump) -> tuple[Any, list[Any]]:
    """What an export writes, as plain values."""
    header = json.loads(json.dumps(study_json(study)))
    return header, [json.loads(trial_line(study, trial)) for trial in study.trials]


def back(study: Any, trials: list[Any], mirrors: list[tuple[Any, list[Any]]]) -> Dump:
    """What an import makes of it."""

    def values(header: Any, lines: list[Any]) -> tuple[Value, list[Value]]:
        return Value(header, "study"), [Value(v, f"line {i}") for i, v in enumerate(lines)]

    return read_dump(values(study, trials), [values(*mirror) for mirror in mirrors])


@settings(deadline=None, max_examples=60)
@given(study=studies())
def test_any_study_comes_back_as_it_was(study: StudyDump) -> None:
    assert repr(back(*as_json(study), [])) == repr(Dump(study=study))


def test_a_study_of_ours_comes_back_with_its_mirror() -> None:
    dump = own_study(own_trial(0), own_trial(1))
    assert back(*as_json(dump.study), [as_json(m) for m in dump.mirrors]) == dump


WRONG: list[tuple[list[Any], Any, str]] = [
    (["number"], 1, "number: a whole number from 0 to 0"),
    (["state"], "RUNNING", "state: one of"),
    (["values"], [], "values: a value for each of 1 directions"),
    (["values"], ["nan"], "a finite number"),
    (["values"], [10**400], "a finite number"),
    (["values"], [True], "a finite number"),
    (["params", 0, "distribution"], {"name": "Nonsense", "attributes": {}}, "that fits"),
    (["params", 0, "distribution"], {"type": "float", "low": 1, "high": 0}, "that fits"),
    (["params", 0, "distribution"], {"type": "categorical", "choices": [1]}, "that fits"),
    (["params", 0, "distribution"], [], "dict is required"),
    (["params", 0, "name"], "", "a name of 1 to 512 characters"),
    (["params", 0, "name"], "a\0", "a name of 1 to 512 characters"),
    (["params", 0, "name"], "\ud800", "a name of 1 to 512 characters"),
    (["params", 0, "name"], "x" * 513, "a name of 1 to 512 characters"),
    (["intermediate_values"], [[2**31, 0.5]], "a whole number from 0 to 2147483647"),
    (["intermediate_values"], [[0, 0.5], [0, 0.5]], "one value of each step"),
    (["intermediate_values"], [[0]], "a list of two"),
    (["datetime_start"], "yesterday", "a time in UTC"),
    (["datetime_start"], "2025-01-01T00:00:00+02:00", "a time in UTC"),
    (["user_attrs"], [], "an object is required"),
    (["user_attrs", "audit"], "good", "dict is required"),
    (["user_attrs", "iterations"], [1], "dict is required"),
    (["system_attrs", "cvfp_opt:birth", "seed"], -1, "a whole number from 0"),
    (["system_attrs", "cvfp_opt:birth", "uuid"], "A" * 32, "32 hexadecimal digits"),
    (["system_attrs", "artifacts:x"], "{}", "an object with artifact_id"),
    (["values"], 0.5, "a list is required"),
    (["system_attrs", "artifacts:x"], "no JSON", "an account of an artifact"),
    (["system_attrs", "artifacts:x"], "[" * 100_000, "an account of an artifact"),
    (
        ["system_attrs", "artifacts:x"],
        account("x")["artifacts:x"].replace('"filename": "', '"filename": "../'),
        "a file's name without a folder",
    ),
    (["system_attrs", "artifacts:x"], account("y")["artifacts:y"], "the id that the attribute's"),
    (["system_attrs", "artifacts:x"], account("../x")["artifacts:../x"], "the id that the attr"),
    (["system_attrs", "cvfp_opt:lease"], {"pid": 1}, "a trial that nobody runs"),
    (["uuid"], "f" * 32, "the trial's own identity"),
    (["extra"], 1, "an object with number"),
]


@pytest.mark.parametrize(("place", "value", "message"), WRONG)
def test_a_trial_that_no_export_writes_is_refused(
    place: list[Any], value: Any, message: str
) -> None:
    study, lines = as_json(own_study(own_trial(0)).study)
    part = lines[0]
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    with pytest.raises(ArchiveError) as refused:
        back(study, lines, [])
    assert message in str(refused.value)
    assert str(refused.value).startswith("line 0")


def test_two_trials_of_one_identity_are_refused() -> None:
    study, lines = as_json(own_study(own_trial(0), own_trial(1, identity=("0", 0, 0))).study)
    with pytest.raises(ArchiveError, match="the trial's own identity"):
        back(study, lines, [])


def test_what_is_nested_absurdly_deep_is_refused() -> None:
    deep: Any = []
    for _ in range(100):
        deep = [deep]
    study, lines = as_json(own_study(own_trial(0, user_attrs={"x": deep})).study)
    with pytest.raises(ArchiveError, match="nested more than"):
        back(study, lines, [])


RECORDS = [
    ({"definition": {}}, "a study definition"),
    ({"definition": {"search": {"seed": "0"}, "objective": {"split": "train"}}}, "seed: a whole"),
    ({"data_digest": "0"}, "64 hexadecimal digits"),
    ({"uuid": "0"}, "32 hexadecimal digits"),
    ({"surprise": 1}, "the record of a study"),
    ({"format": 0}, "'format': a whole number"),
]


@pytest.mark.parametrize(("change", "message"), RECORDS)
def test_a_record_that_cannot_be_trusted_is_refused(change: dict[str, Any], message: str) -> None:
    study, lines = as_json(own_study().study)
    study["user_attrs"]["cvfp_opt:study"] |= change
    with pytest.raises(ArchiveError) as refused:
        back(study, lines, [])
    assert message in str(refused.value)


def test_a_record_of_a_newer_version_is_told_from_a_wrong_one() -> None:
    study, lines = as_json(own_study(own_trial(0)).study)
    study["user_attrs"]["cvfp_opt:study"] |= {"format": 99, "surprise": 1}
    with pytest.raises(StudyError, match="pip install -U cvfp-opt"):
        back(study, lines, [])


def test_a_mirror_of_another_study_is_refused() -> None:
    dump = own_study(own_trial(0))
    header, lines = as_json(dump.mirrors[0])
    header["name"] = "t/pareto"
    with pytest.raises(ArchiveError, match="a mirror of 's'"):
        back(*as_json(dump.study), [(header, lines)])
    with pytest.raises(ArchiveError, match="one mirror of each name"):
        back(*as_json(dump.study), [as_json(dump.mirrors[0])] * 2)
