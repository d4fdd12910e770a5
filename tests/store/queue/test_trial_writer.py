"""Writing to a claimed trial: in one transaction, by its worker only, and safe to repeat."""

import math
import threading
import time
from datetime import datetime, timedelta

import optuna
import pytest
from claiming import Workers, take
from optuna.distributions import FloatDistribution
from optuna.samplers import TPESampler
from optuna.trial import TrialState, create_trial

from cvfp_opt.store.database.optuna_private import study_id_of
from cvfp_opt.store.queue.leases import LeaseLost, read_leases
from cvfp_opt.store.queue.trial_writer import Renewer, TrialWriter
from cvfp_opt.store.record.identity import IDENTITY_KEY
from cvfp_opt.tuning.optuna_trial import open_trial

X = FloatDistribution(0, 1)


def test_what_was_reported_comes_back_to_the_bit(workers: Workers, study: optuna.Study) -> None:
    writer = take(workers.add())
    distribution = optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True)
    writer.pending.params["lr"] = (0.1 / 3, distribution)
    writer.pending.intermediate |= {0: 1 / 3, 1: math.inf, 2: -math.inf}
    writer.pending.user_attrs |= {
        "text": "<script>é\u4e2d\U0001f600",
        "list": [1, None, 0.1 + 0.2],
    }
    writer.flush()
    writer.pending.intermediate[0] = 2 / 3  # a later one counts
    writer.finish(TrialState.COMPLETE, [0.1 + 0.2])
    [trial] = study.trials
    assert trial.params == {"lr": 0.1 / 3}
    assert trial.distributions == {"lr": distribution}
    assert trial.intermediate_values == {0: 2 / 3, 1: math.inf, 2: -math.inf}
    assert trial.user_attrs == {"text": "<script>é\u4e2d\U0001f600", "list": [1, None, 0.1 + 0.2]}
    assert trial.values == [0.1 + 0.2]
    assert trial.datetime_complete is not None


def test_times_are_local_ones_wherever_the_machine_is(
    workers: Workers, study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        before = datetime.now().replace(microsecond=0)  # MariaDB keeps whole seconds
        take(workers.add()).finish(TrialState.COMPLETE, [1.0])
        study.enqueue_trial({"x": 1.0})
        take(workers.add()).finish(TrialState.COMPLETE, [1.0])
        trials = study.trials
        after = datetime.now() + timedelta(seconds=1)
    finally:
        monkeypatch.undo()
        time.tzset()
    for trial in trials:
        assert trial.datetime_start is not None
        assert trial.datetime_complete is not None
        assert before <= trial.datetime_start <= trial.datetime_complete <= after


def test_an_end_may_be_told_twice(workers: Workers, study: optuna.Study) -> None:
    writer = take(workers.add())
    writer.finish(TrialState.COMPLETE, [1.0])
    writer.finish(TrialState.COMPLETE, [1.0])
    assert [t.value for t in study.trials] == [1.0]


def test_the_late_holder_changes_nothing(workers: Workers, study: optuna.Study) -> None:
    worker = workers.add()
    late = take(worker)
    late.give_back()
    taken = take(workers.add())
    late.pending.user_attrs["status"] = "late"
    for write in (late.flush, late.renew, lambda: late.finish(TrialState.COMPLETE, [9.0])):
        with pytest.raises(LeaseLost):
            write()
    assert not late.give_back()
    taken.finish(TrialState.COMPLETE, [1.0])
    [trial] = study.trials
    assert (trial.value, trial.user_attrs) == (1.0, {})


def test_what_a_sampler_notes_is_written_with_the_trial_or_not_at_all(
    workers: Workers, study: optuna.Study
) -> None:
    study.sampler = TPESampler(seed=0, n_startup_trials=1)
    study.add_trial(create_trial(value=1.0, params={"x": 0.5}, distributions={"x": X}))
    late = take(workers.add())
    open_trial(study, late).suggest_float("x", 0, 1)
    assert list(study.trials[1].system_attrs) == [IDENTITY_KEY]
    late.give_back()
    with pytest.raises(LeaseLost):
        late.flush()
    writer = take(workers.add())
    open_trial(study, writer).suggest_float("x", 0, 1)
    writer.flush()
    noted = set(study.trials[1].system_attrs) - {IDENTITY_KEY}
    assert any(key.startswith("tpe:") for key in noted)


def test_a_trial_that_was_made_a_moment_ago_is_what_the_database_has(
    workers: Workers, study: optuna.Study
) -> None:
    writer = take(workers.add())
    known = open_trial(study, writer)._cached_frozen_trial
    [read] = study.trials
    assert read.datetime_start is not None
    assert known.datetime_start is not None
    assert abs((known.datetime_start - read.datetime_start).total_seconds()) < 1.0  # MariaDB
    known.datetime_start = read.datetime_start
    assert known == read
    study.enqueue_trial({"x": 0.25})
    assert open_trial(study, take(workers.add())).suggest_float("x", 0, 1) == 0.25


def lease_of(writer: TrialWriter) -> float:
    with writer.claims.store.engine.connect() as connection:
        leases = read_leases(connection, study_id_of(writer.claims.study))
    return leases[writer.claimed.trial_id].expires


def test_leases_are_renewed_until_they_are_lost(workers: Workers) -> None:
    writer = take(workers.add(seconds=0.3))
    first, looked = lease_of(writer), threading.Event()
    renew = writer.renew

    def renewed() -> None:
        try:
            renew()
        finally:
            looked.set()

    writer.renew = renewed  # type: ignore[method-assign]
    with Renewer(0.3) as renewer:
        renewer.add(writer)
        assert looked.wait(30)
        assert lease_of(writer) > first
        writer.check()
        late = TrialWriter(claims=writer.claims, claimed=writer.claimed)
        late.give_back()
        writer.claims.claimed[writer.claimed.trial_id] = writer.claimed
        looked.clear()
        while not writer.lost:
            assert looked.wait(30)
    with pytest.raises(LeaseLost):
        writer.check()


def test_an_ended_trial_is_no_loss(workers: Workers) -> None:
    writer = take(workers.add(seconds=0.03))
    looked = threading.Semaphore(0)
    renew = writer.renew

    def renewed() -> None:
        try:
            renew()
        finally:
            looked.release()

    writer.renew = renewed  # type: ignore[method-assign]
    with Renewer(0.03) as renewer:
        renewer.add(writer)
        assert looked.acquire(timeout=30)
        writer.finish(TrialState.COMPLETE, [1.0])
        assert all(looked.acquire(timeout=30) for _ in range(3))
    assert not writer.lost
