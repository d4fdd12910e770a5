"""Rows are read as they are: texts unparsed, special values as numbers, damage as None."""

import math
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial
from sqlalchemy import update

from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.optuna_private import study_id_of, trial_id_of
from cvfp_opt.store.database.reading import (
    moment,
    one_moment,
    read_raw_studies,
    read_raw_trial,
    read_raw_trials,
    state_of,
)
from cvfp_opt.store.database.storage import Store, open_for_search
from cvfp_opt.store.database.tables import INTERMEDIATE


def filled(store: Store) -> optuna.Study:
    study = optuna.create_study(study_name="s", storage=store.storage, direction="maximize")
    study.set_user_attr("author", "ü")
    for value in (0.5, -math.inf):
        study.add_trial(
            create_trial(
                value=value,
                params={"x": 0.25},
                distributions={"x": FloatDistribution(0.0, 1.0)},
                intermediate_values={0: math.nan, 1: math.inf, 2: 0.0},
                user_attrs={"status": "finished", "other": [1]},
            )
        )
    return study


def test_all_of_a_study_is_read(location: Location) -> None:
    with open_for_search(location) as store:
        study = filled(store)
        with one_moment(store.engine) as connection:
            [raw] = read_raw_studies(connection)
            first, second = read_raw_trials(connection, raw.study_id)
            assert read_raw_trial(connection, first.trial_id) == first
            assert read_raw_trial(connection, 77) is None
            [fewer, _] = read_raw_trials(connection, raw.study_id, keys=["status"])
        assert (raw.name, raw.directions) == ("s", ["MAXIMIZE"])
        assert raw.study_id == study_id_of(study)
        assert raw.user_attrs == {"author": '"\\u00fc"'}
        assert first.trial_id == trial_id_of(study.trials[0])
        assert (first.number, state_of(first).name) == (0, "COMPLETE")
        assert (first.values, second.values) == ({0: 0.5}, {0: -math.inf})
        assert math.isnan(first.intermediate.pop(0))
        assert first.intermediate == {1: math.inf, 2: 0.0}
        [(_, name, value, distribution)] = first.params
        assert (name, value) == ("x", 0.25)
        assert "FloatDistribution" in distribution
        assert first.user_attrs == {"status": '"finished"', "other": "[1]"}
        assert fewer.user_attrs == {"status": '"finished"'}
        started = moment(first.started)
        assert started is not None
        assert started.tzinfo is None


def test_what_no_number_can_be_is_none() -> None:
    location = Location.of_file(Path("x.db"))
    with open_for_search(location) as store:
        study = filled(store)
        with store.engine.begin() as connection:
            connection.execute(update(INTERMEDIATE).values(intermediate_value=None))
            connection.exec_driver_sql(
                "UPDATE trial_intermediate_values SET intermediate_value_type = 'odd'"
            )
            connection.exec_driver_sql("UPDATE trials SET state = 'odd', number = 'odd'")
        with store.engine.connect() as connection:
            [first, _] = read_raw_trials(connection, study_id_of(study))
        assert first.intermediate == {0: None, 1: None, 2: None}
        assert first.number == "odd"
        with pytest.raises(ValueError, match="its state is 'odd'"):
            state_of(first)
        with pytest.raises(ValueError, match="isoformat"):
            moment("yesterday")
