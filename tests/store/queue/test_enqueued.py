"""Enqueued points: once each, with an identity, run as they were asked for."""

import optuna
import pytest
from claiming import Workers, take

from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.queue.enqueued import enqueue_points, enqueued_points
from cvfp_opt.store.record.identity import IDENTITY_KEY

# What does not depend on the kind of database.
on_a_file = pytest.mark.parametrize("location", ["sqlite"], indirect=True)


def test_a_point_waits_once(store: Store, study: optuna.Study, workers: Workers) -> None:
    points = [{"x": 0.5}, {"x": 0.25, "y": "a"}, {"x": 0.5}]
    first = enqueue_points(store, study, points, seed=7)
    assert [(one.number, one.new) for one in first] == [(0, True), (1, True), (0, False)]
    again = enqueue_points(store, study, [{"y": "a", "x": 0.25}, {"x": 0.75}], seed=7)
    assert [(one.number, one.new) for one in again] == [(1, False), (2, True)]
    assert enqueued_points(study) == {0: {"x": 0.5}, 1: {"x": 0.25, "y": "a"}, 2: {"x": 0.75}}
    take(workers.add())
    [once_more] = enqueue_points(store, study, [{"x": 0.5}], seed=7)
    assert once_more.new  # the other one waits no more


@on_a_file
def test_its_identity_is_given_at_once_and_kept_by_its_claim(
    store: Store, study: optuna.Study, workers: Workers
) -> None:
    enqueue_points(store, study, [{"x": 0.5}], seed=7, retry_of="abc")
    [trial] = study.trials
    identity = trial.system_attrs[IDENTITY_KEY]
    assert (identity["seed"], identity["number"], identity["retry_of"]) == (7, 0, "abc")
    assert take(workers.add()).claimed.identity.to_dict() == identity


def test_optuna_runs_it_as_it_was_asked_for(store: Store, study: optuna.Study) -> None:
    enqueue_points(store, study, [{"x": 0.5}], seed=7)
    trial = study.ask()
    assert trial.suggest_float("x", 0.0, 1.0) == 0.5
    assert 0.0 <= trial.suggest_float("y", 0.0, 1.0) <= 1.0


@on_a_file
def test_a_trial_that_was_given_back_waits_at_its_point(
    store: Store, study: optuna.Study, workers: Workers
) -> None:
    writer = take(workers.add())
    distribution = optuna.distributions.FloatDistribution(0.0, 1.0)
    writer.pending.params["x"] = (0.5, distribution)
    writer.flush()
    writer.give_back()
    [same] = enqueue_points(store, study, [{"x": 0.5}], seed=7)
    assert (same.number, same.new) == (0, False)


@on_a_file
def test_all_or_none(store: Store, study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TypeError):
        enqueue_points(store, study, [{"x": 0.5}, {"x": object()}], seed=7)
    assert study.trials == []
