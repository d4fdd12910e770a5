"""Adopting a study: in one transaction, on every kind of database."""

from collections.abc import Iterator

import optuna
import pytest
from known_studies import point
from optuna.trial import create_trial
from stock import tiny

from cvfp_opt.errors import StudyError
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import Store, open_for_search
from cvfp_opt.store.record import studies
from cvfp_opt.store.record.records import StudyRecord
from cvfp_opt.tuning.adoption import adopt, examine


@pytest.fixture
def store(location: Location) -> Iterator[Store]:
    with open_for_search(location) as opened:
        yield opened


def test_a_study_is_adopted_once(store: Store) -> None:
    definition = tiny(name="pareto")
    study = optuna.create_study(
        study_name="theirs", storage=store.storage, directions=["maximize"] * 2
    )
    drawn = definition.space.distributions()
    params = {name: point(0.5)[name] for name in drawn}
    study.add_trial(create_trial(values=[0.5, 0.6], params=params, distributions=drawn))
    assert not any(one.refuses for one in examine(store, "theirs", definition))
    adopt(store, "theirs", definition, definition.load_tokens(), {})
    record = StudyRecord.of(study)
    assert record is not None
    assert record.definition_digest == definition.digest()
    assert study.metric_names == ["convergence rate", "effective rank"]
    with pytest.raises(StudyError, match="a study of cvfp-opt already"):
        adopt(store, "theirs", definition, definition.load_tokens(), {})
    assert StudyRecord.of(study) == record


def test_a_study_of_three_objectives_is_adopted(store: Store) -> None:
    definition = tiny("objective.downstream=true", name="pareto")
    study = optuna.create_study(
        study_name="theirs", storage=store.storage, directions=["maximize"] * 3
    )
    drawn = definition.space.distributions()
    params = {name: point(0.5)[name] for name in drawn}
    study.add_trial(create_trial(values=[0.5, 0.6, -4.0], params=params, distributions=drawn))
    found = [*examine(store, "theirs"), *examine(store, "theirs", definition)]
    assert not any(one.refuses for one in found)
    # the third is a logarithm
    assert not any(one.text.startswith("values: from") for one in found)
    [refused] = [one for one in examine(store, "theirs", tiny(name="pareto")) if one.refuses]
    assert refused.text.startswith("objectives: two objectives, maximized, required, got maxim")
    adopt(store, "theirs", definition, definition.load_tokens(), {})
    assert study.metric_names == ["convergence rate", "effective rank", "minus log perplexity"]


def test_nothing_is_half_written(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    study = optuna.create_study(study_name="theirs", storage=store.storage, direction="maximize")
    put = studies.put_attributes

    def fail(connection: object, table: object, *more: object) -> None:
        if table is studies.STUDY_SYSTEM_ATTRIBUTES:
            raise MemoryError("no room")
        put(connection, table, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(studies, "put_attributes", fail)
    definition = tiny()
    with pytest.raises(MemoryError):
        adopt(store, "theirs", definition, definition.load_tokens(), {})
    assert study.user_attrs == {}
