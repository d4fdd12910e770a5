"""Trials are read quickly, and are what Optuna itself would have read."""

import copy
import json
import math
import pickle
from collections.abc import Iterator

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from cvfp_opt.store.database import reading
from cvfp_opt.store.database.frozen_trials import read_trial, read_trials
from cvfp_opt.store.database.lazy_attributes import UnparsedTrial, user_attribute
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import ReadingStorage, Store, open_for_search

ATTRIBUTES = {"audit": {"rank": 0.5, "flags": [True, None]}, "reason": "ü", "iterations": [1, 2]}


@pytest.fixture
def store(location: Location) -> Iterator[Store]:
    with open_for_search(location) as opened:
        yield opened


def fill(store: Store) -> optuna.Study:
    """Trials of all states, with all that a trial can say, between those of another study."""
    study = optuna.create_study(study_name="s", storage=store.storage, direction="maximize")
    other = optuna.create_study(study_name="other", storage=store.storage)
    distributions = {
        "z": FloatDistribution(1e-4, 1.0, log=True),
        "n": IntDistribution(1, 9),
        "kind": CategoricalDistribution(["a", "b"]),
    }
    for state, value in ((TrialState.COMPLETE, 0.25), (TrialState.COMPLETE, math.inf)):
        study.add_trial(
            create_trial(
                state=state,
                value=value,
                params={"z": 0.1, "n": 3, "kind": "b"},
                distributions=distributions,
                user_attrs=ATTRIBUTES,
                system_attrs={"constraints:x": -1.0},
                intermediate_values={0: 0.5, 1: -math.inf, 2: math.nan, 3: math.inf},
            )
        )
        other.add_trial(create_trial(value=1.0, user_attrs={"audit": "another's"}))
    study.add_trial(create_trial(state=TrialState.FAIL))
    study.ask().report(0.125, 0)
    study.ask()
    study.enqueue_trial({"n": 4})
    return study


def as_optuna_reads(store: Store, study: optuna.Study) -> list[FrozenTrial]:
    backend: RDBStorage = store.storage._backend  # type: ignore[attr-defined]
    return RDBStorage._get_trials(backend, study._study_id, None, set(), -1)


def as_we_read(store: Store, study: optuna.Study) -> list[FrozenTrial]:
    backend: ReadingStorage = store.storage._backend  # type: ignore[attr-defined]
    return backend._get_trials(study._study_id, None, set(), -1)


def said(trial: FrozenTrial) -> dict[str, str]:
    """All of a trial as text: NaN is not equal to itself. Servers give rows in any order."""
    return {
        name: repr(sorted(value.items()) if isinstance(value, dict) else value)
        for name, value in vars(copy.copy(trial)).items()
    }


@pytest.mark.parametrize("max_ids", [0, 200])
def test_trials_are_what_optuna_reads(
    store: Store, max_ids: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MAX_IDS", max_ids)  # by their ids, or by their range
    study = fill(store)
    theirs, ours = as_optuna_reads(store, study), as_we_read(store, study)
    assert len(theirs) == 6
    for one, other in zip(theirs, ours, strict=True):
        assert said(one) == said(other)
        assert list(one.params) == list(other.params)
        with store.engine.connect() as connection:
            assert said(read_trial(connection, one._trial_id)) == said(one)


def test_only_trials_that_are_asked_for_are_read(store: Store) -> None:
    study = fill(store)
    ids = [trial._trial_id for trial in as_we_read(store, study)]
    with store.engine.connect() as connection:

        def read(beyond: int, *some: int) -> list[int]:
            found = read_trials(connection, study._study_id, beyond=beyond, some=some)
            return [trial._trial_id for trial in found]

        assert read(ids[3]) == ids[4:]
        assert read(ids[3], ids[0], ids[2]) == [ids[0], ids[2], *ids[4:]]
        many = range(ids[1], ids[1] + 2 * reading.MAX_IDS)
        assert read(ids[-1], *many) == ids[1:]


def test_what_is_not_there_is_missed_as_optuna_does(store: Store) -> None:
    with pytest.raises(KeyError, match="does not exist"):
        store.storage.get_trial(77)
    with pytest.raises(KeyError, match="does not exist"):
        store.storage.get_all_trials(77)


def unparsed(**changes: str) -> UnparsedTrial:
    texts = {key: json.dumps(value) for key, value in ATTRIBUTES.items()} | changes
    plain = create_trial(
        value=1.0, params={"x": 1.0}, distributions={"x": FloatDistribution(0, 2)}
    )
    fields = {name.removeprefix("_"): value for name, value in vars(plain).items()}
    del fields["user_attrs"]
    return UnparsedTrial.of(texts, value=None, **fields)


def test_an_attribute_is_parsed_when_it_is_asked_for() -> None:
    trial = unparsed(reason="no JSON")
    assert user_attribute(trial, "iterations") == [1, 2]
    assert user_attribute(trial, "nothing") is None
    assert user_attribute(trial, "reason") is None
    assert trial.user_attrs == ATTRIBUTES | {"reason": None}  # one of them stops nobody
    trial = unparsed()
    assert trial.user_attrs == ATTRIBUTES
    assert trial.user_attrs is trial.user_attrs
    trial.set_user_attr("reason", "another")
    assert user_attribute(trial, "reason") == trial.user_attrs["reason"] == "another"
    assert user_attribute(trial.plain(), "reason") == "another"


def test_an_unparsed_trial_is_equal_to_a_parsed_one() -> None:
    trial, plain = unparsed(), unparsed().plain()
    plain.datetime_start = trial.datetime_start
    plain.datetime_complete = trial.datetime_complete
    assert type(plain) is FrozenTrial
    assert trial == plain
    assert plain == trial
    assert trial == copy.copy(trial)
    assert trial != unparsed(reason='"another"')
    assert trial != "a trial"
    assert repr(trial) == repr(plain)


def test_a_copy_is_a_trial_of_optuna() -> None:
    trial = unparsed()
    for twin in (copy.copy(trial), copy.deepcopy(trial), pickle.loads(pickle.dumps(trial))):
        assert type(twin) is FrozenTrial
        assert twin == trial
    assert copy.deepcopy(trial).user_attrs["audit"] is not trial.user_attrs["audit"]
