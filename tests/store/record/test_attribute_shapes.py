"""Attributes of this program are told from those that others write under the same names."""

import shutil
from typing import Any

import pytest
from support import REPOSITORY

from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.store.database.storage import open_for_reading
from cvfp_opt.store.record.attribute_shapes import is_definition, is_ours
from cvfp_opt.store.record.records import ATTRIBUTES, TrialRecord, trial_records
from cvfp_opt.store.record.studies import load_study
from cvfp_opt.tuning.definition import StudyDefinition


@pytest.mark.parametrize("key", ATTRIBUTES)
@pytest.mark.parametrize("value", [None, 3, 0.5, ["a"], {"drift": "b"}, {"baseline": {}}])
def test_others_values_stay_out(key: str, value: Any) -> None:
    any_table = key == "environment" and value == {"baseline": {}}
    assert is_ours(key, value) is any_table


@pytest.mark.parametrize(
    "key", ["scored", "metrics", "audit", "downstream", "seconds", "environment"]
)
def test_an_empty_table_is_what_an_unfinished_trial_has(key: str) -> None:
    assert is_ours(key, {})


def test_a_probe_has_its_perplexities() -> None:
    perplexities = {"train_perplexity": 20.0, "held_out_perplexity": 50.0}
    assert is_ours("downstream", perplexities)
    assert not is_ours("downstream", {"held_out_accuracy": 0.5})
    assert not is_ours("downstream", perplexities | {"held_out_perplexity": "low"})


def test_a_definition_says_yes_or_no_to_a_third_objective() -> None:
    definition = StudyDefinition().to_dict()
    assert is_definition(definition)
    definition["objective"]["downstream"] = "yes"
    assert not is_definition(definition)


def test_a_drift_is_a_table() -> None:
    assert is_ours("environment", {"drift": {"keys": {}}})
    assert not is_ours("environment", {"drift": 7})


def test_what_every_version_wrote_is_ours() -> None:
    for folder in sorted((REPOSITORY / "tests" / "fixtures").glob("format-*")):
        copy = shutil.copy(folder / "study.db", "copy.db")
        with open_for_reading(resolve_location(copy)) as store:
            records = [r for r in trial_records(load_study(store, "quick")) if r.finished]
        assert len(records) == 3
        assert all(r.audit and r.metrics and r.iterations and r.seconds for r in records)
        assert all(isinstance(r, TrialRecord) and r.environment for r in records)
