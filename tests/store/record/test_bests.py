"""The best trials of all studies are those that each study's summary names."""

import math
from dataclasses import asdict
from typing import Any

import known_studies
import optuna
import pytest
import sqlalchemy
from known_studies import attributes, audit, complete
from optuna.trial import FrozenTrial, TrialState, create_trial

from cvfp_opt.store.database.optuna_private import study_id_of
from cvfp_opt.store.database.reading import one_moment
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.record.bests import Best, read_bests
from cvfp_opt.store.record.identity import IDENTITY_KEY, TrialIdentity
from cvfp_opt.store.record.mirrors import sync_mirrors
from cvfp_opt.store.record.records import StudyRecord
from cvfp_opt.store.record.summary import Summary, untrained_score


def make(
    store: Store, name: str, *trials: FrozenTrial, kind: str = "score", **words: Any
) -> optuna.Study:
    """A study of ours."""
    made = optuna.create_study(
        study_name=name, storage=store.storage, **(words or {"direction": "maximize"})
    )
    record = StudyRecord.of(known_studies.study(objective={"kind": kind}))
    assert record is not None
    StudyRecord(**asdict(record)).write(made)
    made.add_trials(trials)
    return made


def read(store: Store, study: optuna.Study) -> Best | None:
    with one_moment(store.engine) as connection:
        return read_bests(connection).get(study_id_of(study))


def plain(*values: float, state: TrialState = TrialState.COMPLETE) -> list[FrozenTrial]:
    return [create_trial(state=state, value=value) for value in values]


def pair(convergence: float, rank: float) -> FrozenTrial:
    return create_trial(values=[convergence, rank], user_attrs=attributes(convergence, rank))


NAN, INF = math.nan, math.inf
MAXIMIZED = {
    "none": ([], None),
    "pruned": (plain(0.5, state=TrialState.PRUNED), None),
    "first of equals": (plain(0.1, 0.5, 0.5), 1),
    "infinite": (plain(0.5, INF, 0.6), 1),
    "infinitely bad": (plain(-INF, 0.5), 1),
    "only infinitely bad": (plain(-INF), 0),
    "negative": (plain(-2.0, -1.0), 1),
    "infeasible": (
        [
            complete(0.1, 0.9, 0.9, {"threshold": 0.25}),
            complete(0.2, 0.5, 0.5, {"threshold": -0.25, "fixed_point": 0.0}),
            complete(0.3, 0.4, 0.4),
            complete(0.4, 0.8, 0.8, {"threshold": -1e-5, "fixed_point": 1e-5}),
            complete(0.5, 0.8, 0.8, {"fixed_point": INF}),
        ],
        1,
    ),
    "only infeasible": (
        [complete(0.1, 0.4, 0.4, {"a": 12.0}), complete(0.2, 0.9, 0.9, {"a": 0.5})],
        1,
    ),
    "audited": ([complete(0.2, 0.2, 0.95), complete(0.4, 0.98, 0.9)], 1),
}


@pytest.mark.parametrize("name", MAXIMIZED)
def test_the_best_is_the_one_of_the_summary(store: Store, name: str) -> None:
    trials, number = MAXIMIZED[name]
    make(store, "other", *plain(9.0))
    study = make(store, "s", *trials)
    found, expected = read(store, study), Summary.of(study, "").best
    assert (found.number if found else None) == number
    assert (expected.number if expected else None) == number
    if found and expected:
        assert (found.value, found.untrained) == (expected.value, untrained_score(expected))


def test_what_is_no_number_has_no_place(store: Store) -> None:
    study = make(store, "s", *plain(0.5, 0.4))
    with store.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE trial_values SET value = NULL "
            "WHERE trial_id = (SELECT min(trial_id) FROM trials)"
        )
    found = read(store, study)
    assert found is not None
    assert (found.number, found.value) == (1, 0.4)


def test_a_minimized_study_has_its_least_value(store: Store) -> None:
    study = make(store, "s", *plain(0.5, INF, 0.2, 0.2), direction="minimize")
    found, expected = read(store, study), Summary.of(study, "").best
    assert found is not None
    assert expected is not None
    assert (found.number, found.value) == (expected.number, expected.value) == (2, 0.2)
    lower = make(store, "t", *plain(0.5, -INF, INF), direction="minimize")
    best = read(store, lower)
    assert best is not None
    assert (best.number, best.value) == (1, -INF)


def test_of_two_objectives_the_score_decides_and_mirrors_have_no_best(store: Store) -> None:
    study = make(
        store,
        "s",
        *(pair(0.2, 0.9), pair(0.9, 0.8), pair(0.95, 0.1)),
        kind="pareto",
        directions=["maximize", "maximize"],
    )
    ours = make(store, "t", complete(0.2, 0.2, 0.95))
    sync_mirrors(store, study)
    sync_mirrors(store, ours)
    found, expected = read(store, study), Summary.of(study, "").best
    assert found is not None
    assert expected is not None
    assert (found.number, found.value) == (expected.number, expected.value)
    assert found.untrained == untrained_score(expected) == 0.49
    with one_moment(store.engine) as connection:
        assert read_bests(connection).keys() == {study_id_of(study), study_id_of(ours)}


def test_it_has_its_uuid_and_what_others_wrote_there_is_none(store: Store) -> None:
    identity = TrialIdentity.new(seed=1, number=0)
    good = create_trial(value=1.0, system_attrs={IDENTITY_KEY: identity.to_dict()})
    study = make(store, "s", good)
    odd = make(
        store,
        "t",
        create_trial(
            value=1.0,
            user_attrs={"audit": audit(baseline={"score": "high"})},
            system_attrs={IDENTITY_KEY: "mine"},
        ),
    )
    first, second = read(store, study), read(store, odd)
    assert first is not None
    assert second is not None
    assert (first.uuid, first.untrained) == (identity.uuid, None)
    assert (second.uuid, second.untrained) == ("", None)


def test_many_studies_take_no_more_statements(store: Store) -> None:
    statements: list[str] = []
    sqlalchemy.event.listen(
        store.engine, "before_cursor_execute", lambda c, cursor, sql, *rest: statements.append(sql)
    )

    def count() -> int:
        statements.clear()
        with one_moment(store.engine) as connection:
            read_bests(connection)
        return len(statements)

    make(store, "s", *plain(0.5))
    few = count()
    for number in range(4):
        make(store, f"s{number}", *plain(0.5))
    assert count() == few
