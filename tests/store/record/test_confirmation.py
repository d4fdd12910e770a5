"""Runs of a confirmation in the database: asked for once, on seeds that no search has."""

from dataclasses import replace

import optuna
import pytest
from claiming import Workers, take
from doctoring import RECORD
from optuna.trial import TrialState

from cvfp_opt.errors import StudyError
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.queue.claims import NoTrial
from cvfp_opt.store.queue.confirmation_runs import add_runs, enter_confirmation
from cvfp_opt.store.queue.takeover import fail_trial
from cvfp_opt.store.record.confirmation import (
    DEFAULT,
    FRESH,
    UNTRAINED,
    ConfirmationPoint,
    read_runs,
)
from cvfp_opt.store.record.identity import IDENTITY_KEY
from cvfp_opt.store.record.records import CONFIRMATION_RUN, TrialRecord
from cvfp_opt.store.record.studies import create_study, refuse_foreign, study_names

CONFIRMATION_POINTS = [
    ConfirmationPoint(key="a" * 32, params={"x": 0.25}, trial=3, reported=0.5),
    ConfirmationPoint(key=DEFAULT, params={"x": 0.5}),
    ConfirmationPoint(key=UNTRAINED, params={"x": 0.5}, changes={"training.num_epochs": 0}),
]
UUID = RECORD.identity


def entered(store: Store) -> tuple[optuna.Study, optuna.Study]:
    source = create_study(store, "s", RECORD)
    return source, enter_confirmation(store, "s", UUID, replace(RECORD, uuid="c" * 32))


def places(study: optuna.Study, *states: TrialState) -> list[tuple[str, int]]:
    trials = study.get_trials(deepcopy=False, states=states or None)
    marks = [trial.system_attrs[CONFIRMATION_RUN] for trial in trials]
    return [(mark["arm"], mark["seed"]) for mark in marks]


def finish(workers: Workers, state: TrialState, **attrs: object) -> int:
    writer = take(workers.add())
    writer.pending.user_attrs.update(attrs)
    writer.finish(state, [0.5] if state is TrialState.COMPLETE else None)
    return writer.claimed.number


def test_runs_are_asked_for_once_seed_by_seed(store: Store) -> None:
    source, study = entered(store)
    assert add_runs(store, study, CONFIRMATION_POINTS[:2], 2, seed=7) == 4
    expected = [(point.key, seed) for seed in range(2) for point in CONFIRMATION_POINTS[:2]]
    assert places(study) == expected
    assert add_runs(store, study, CONFIRMATION_POINTS[:2], 2, seed=7) == 0
    assert add_runs(store, study, CONFIRMATION_POINTS, 3, seed=7) == 5
    assert len(places(study)) == len(set(places(study))) == 9
    runs = read_runs(source, RECORD)
    assert runs is not None
    assert (runs.study, list(runs.points)) == ("s/confirm", CONFIRMATION_POINTS)
    assert [trial.run["label"] for trial in runs.trials[:2]] == ["trial 3", "default point"]


def test_no_search_has_their_seeds_and_all_points_share_them(store: Store) -> None:
    _, study = entered(store)
    add_runs(store, study, CONFIRMATION_POINTS, 3, seed=7)
    births = [trial.system_attrs[IDENTITY_KEY] for trial in study.get_trials(deepcopy=False)]
    assert {identity["seed"] for identity in births} == {7}
    # Optuna's column of trial numbers has 32 bits and a sign
    assert {identity["number"] for identity in births} == {2**31, 2**31 + 1, 2**31 + 2}
    assert [identity["number"] - FRESH for identity in births] == [s for _, s in places(study)]
    assert len({identity["uuid"] for identity in births}) == 9


def test_workers_claim_them_with_their_arm_and_no_others(store: Store) -> None:
    _, study = entered(store)
    add_runs(store, study, CONFIRMATION_POINTS, 1, seed=7)
    workers = Workers(store, study)
    claims = workers.add()
    claimed = [take(claims, 3).claimed for _ in range(3)]
    assert [one.run["arm"] for one in claimed] == [point.key for point in CONFIRMATION_POINTS]
    assert claimed[2].run["changes"] == {"training.num_epochs": 0}
    assert claimed[0].identity.number == FRESH
    assert claims.claim(3) is NoTrial.DONE


def test_a_run_that_failed_is_asked_for_again_one_that_diverged_is_not(store: Store) -> None:
    _, study = entered(store)
    add_runs(store, study, CONFIRMATION_POINTS, 1, seed=7)
    workers = Workers(store, study)
    finish(workers, TrialState.COMPLETE, status="finished")
    finish(workers, TrialState.FAIL, status="diverged")
    finish(workers, TrialState.FAIL, status="error")
    assert add_runs(store, study, CONFIRMATION_POINTS, 1, seed=7) == 1
    assert places(study, TrialState.WAITING) == [(UNTRAINED, 0)]
    fail_trial(store, study, 3, "by hand")
    assert add_runs(store, study, CONFIRMATION_POINTS, 1, seed=7) == 1


def test_points_stay_as_they_were_first_asked_for(store: Store) -> None:
    """The default point takes the winner's threshold: a later winner must not change it."""
    source, study = entered(store)
    add_runs(store, study, CONFIRMATION_POINTS, 1, seed=7)
    add_runs(store, study, [ConfirmationPoint(key=DEFAULT, params={"x": 0.75})], 2, seed=7)
    runs = read_runs(source, RECORD)
    assert runs is not None
    assert list(runs.points) == CONFIRMATION_POINTS
    last = study.get_trials(deepcopy=False)[-1]
    assert last.system_attrs["fixed_params"] == {"x": 0.5}


def test_it_is_no_study_to_search_or_to_list(store: Store) -> None:
    source, study = entered(store)
    assert study_names(store) == ["s"]
    with pytest.raises(StudyError, match="type `cvfp-opt confirm --study-name s"):
        refuse_foreign(study, store)
    refuse_foreign(source, store)


def test_creation_that_was_cut_off_is_completed(store: Store) -> None:
    source = create_study(store, "s", RECORD)
    optuna.create_study(study_name="s/confirm", storage=store.storage, direction="maximize")
    assert read_runs(source, RECORD) is None
    enter_confirmation(store, "s", UUID, RECORD)
    assert read_runs(source, RECORD) is not None
    study = create_study(store, "t/confirm", RECORD)  # with a record, and without the link
    enter_confirmation(store, "t", UUID, RECORD)
    assert add_runs(store, study, CONFIRMATION_POINTS, 1, seed=7) == 3


def test_another_study_of_that_name_is_left_alone(store: Store) -> None:
    source, _ = entered(store)
    with pytest.raises(StudyError, match="is no confirmation of this study 's'"):
        enter_confirmation(store, "s", "f" * 32, RECORD)
    assert read_runs(source, replace(RECORD, uuid="f" * 32)) is None
    theirs = optuna.create_study(study_name="u/confirm", storage=store.storage)
    theirs.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(StudyError, match="made by another program"):
        enter_confirmation(store, "u", UUID, RECORD)


def test_what_another_program_wrote_in_the_place_of_arms_is_not_read(store: Store) -> None:
    source, study = entered(store)
    add_runs(store, study, CONFIRMATION_POINTS, 1, seed=7)
    listed = [*map(vars, CONFIRMATION_POINTS[:1]), {"planet": 9}, "trial 3"]
    study.set_user_attr("cvfp_opt:arms", {"uuid": UUID, "arms": listed})
    runs = read_runs(source, RECORD)
    assert runs is not None
    assert list(runs.points) == CONFIRMATION_POINTS[:1]
    assert isinstance(runs.trials[0], TrialRecord)
