"""Mirrors have each complete trial once, whoever copies it."""

from typing import Any

import optuna
import pytest
from optuna.trial import TrialState, create_trial
from sqlalchemy import update

from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.tables import USER_ATTRIBUTES
from cvfp_opt.store.record.mirrors import MIRRORS, SOURCE_TRIAL, Mirrors
from cvfp_opt.store.record.records import MIRROR_OF

READ = {"convergence": 0.5, "convergence_strict": 0.25, "effective_rank": 0.25}
RATES = {"convergence_rate": 0.5, "effective_rank": 0.25, "score": 0.5}
AUDIT = {
    "baseline": RATES | {"validation_effective_rank": 0.25},
    "frozen_train": READ,
    "frozen_validation": READ,
    "frozen_held_out": READ,
    "absolute_convergence": 0.5,
    "scale_free_convergence": 0.5,
    "mean_square": 1.0,
    "context_norm": 1.0,
    "lyapunov_exponent": -0.5,
    "global_attractor": False,
    "near_zero": False,
    "identity_map": False,
}


def add(study: optuna.Study, state: TrialState = TrialState.COMPLETE, **more: Any) -> None:
    value = 0.5 if state is TrialState.COMPLETE else None
    attributes = {"audit": AUDIT, "scored": RATES, "status": "finished"} | more
    study.add_trial(create_trial(state=state, value=value, user_attrs=attributes))


def sources(store: Store, suffix: str) -> list[int]:
    mirror = optuna.load_study(study_name=f"s/{suffix}", storage=store.storage)
    return [trial.user_attrs[SOURCE_TRIAL] for trial in mirror.trials]


def test_each_is_copied_once_by_whoever_comes_first(store: Store, study: optuna.Study) -> None:
    one, other = Mirrors(store, study), Mirrors(store, study)
    add(study)
    one.sync()
    add(study, state=TrialState.FAIL)
    add(study)
    add(study, audit={})  # another program's
    other.sync()
    add(study)
    one.sync()
    one.sync()
    other.sync()
    for mirror in MIRRORS:
        assert sources(store, mirror.suffix) == [0, 2, 4]


def test_what_was_seen_in_a_mirror_is_not_read_again(store: Store, study: optuna.Study) -> None:
    mirrors = Mirrors(store, study)
    for _ in range(3):
        add(study)
    mirrors.sync()
    mirrors.sync()  # sees what it wrote itself
    with store.engine.begin() as connection:  # whoever looked would stumble
        connection.execute(update(USER_ATTRIBUTES).values(value_json='"no number"'))
    mirrors.sync()
    for mirror in MIRRORS:
        copies = optuna.load_study(study_name=f"s/{mirror.suffix}", storage=store.storage)
        assert len(copies.trials) == 3


def test_who_comes_second_copies_nothing(
    store: Store, study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = Mirrors(store, study), Mirrors(store, study)
    copy = one._copy

    def after_the_other(*arguments: Any) -> None:
        other.sync()
        copy(*arguments)

    monkeypatch.setattr(one, "_copy", after_the_other)
    add(study)
    one.sync()
    for mirror in MIRRORS:
        assert sources(store, mirror.suffix) == [0]


def test_a_mirror_that_was_deleted_is_made_again(store: Store, study: optuna.Study) -> None:
    mirrors = Mirrors(store, study)
    add(study)
    mirrors.sync()
    optuna.delete_study(study_name="s/pareto", storage=store.storage)
    mirrors.sync()
    assert sources(store, "pareto") == [0]
    again = optuna.load_study(study_name="s/pareto", storage=store.storage)
    assert again.user_attrs[MIRROR_OF] == "s"
