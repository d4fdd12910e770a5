"""Going on with a study: with its own definition, or refused key by key."""

import json
from pathlib import Path

import pytest
from support import TINY

from cvfp_opt.errors import DataError, StudyError
from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.store.database.storage import open_for_search
from cvfp_opt.store.record.definition_sections import FORMER
from cvfp_opt.store.record.records import STUDY
from cvfp_opt.tuning.plan import Request, make_plan

LOCATION = "x.db"


def create(request: Request) -> None:
    plan = make_plan(resolve_location(LOCATION), request)
    with open_for_search(resolve_location(LOCATION)) as store:
        _, created = plan.enter(store, {})
    assert created


def test_the_name_is_the_definitions_unless_given() -> None:
    assert Request().name == "recommended"
    assert Request(definition="folder/mine.toml").name == "mine"
    assert Request(definition="quick", study_name="other").name == "other"


def test_without_a_definition_the_study_goes_on_with_its_own() -> None:
    create(Request(definition="quick", settings=TINY, seed=7))
    plan = make_plan(resolve_location(LOCATION), Request(study_name="quick"))
    assert plan.definition.model.context_size == 8
    assert plan.definition.search.seed == 7
    with open_for_search(resolve_location(LOCATION)) as store:
        _, created = plan.enter(store, {})
    assert not created


def test_another_definition_is_refused_key_by_key_with_both_ways_out() -> None:
    create(Request(definition="quick", settings=TINY))
    before = Path(LOCATION).read_bytes()
    with pytest.raises(StudyError) as error:
        make_plan(resolve_location(LOCATION), Request(definition="quick", seed=3))
    text = str(error.value)
    assert "model.context_size: the study has 8, you asked for 128" in text
    assert "search.seed: the study has 0, you asked for 3" in text
    assert "--study-name quick-2" in text
    assert "cvfp-opt run --study-name quick --storage x.db" in text
    assert Path(LOCATION).read_bytes() == before


def test_a_change_of_the_studys_own_definition_is_refused() -> None:
    create(Request(definition="quick", settings=TINY))
    with pytest.raises(
        StudyError, match=r"training\.num_epochs: the study has 2, you asked for 3"
    ):
        make_plan(
            resolve_location(LOCATION),
            Request(study_name="quick", settings=["training.num_epochs=3"]),
        )


def test_text_may_move_but_not_change() -> None:
    lines = " ".join(f"word{i}" for i in range(400))
    Path("a.txt").write_text(lines)
    create(Request(definition="quick", settings=TINY, data="a.txt"))
    Path("a.txt").rename("b.txt")
    own = Request(study_name="quick")
    with pytest.raises(DataError, match=r"no such file.*add --data PATH"):
        make_plan(resolve_location(LOCATION), own)
    make_plan(resolve_location(LOCATION), Request(study_name="quick", data="b.txt"))
    Path("b.txt").write_text(lines.replace("word", "bird"))
    with pytest.raises(StudyError, match="was created with another text"):
        make_plan(resolve_location(LOCATION), Request(study_name="quick", data="b.txt"))


def test_the_record_freezes_definition_and_digests() -> None:
    create(Request(definition="quick", settings=TINY))
    with open_for_search(resolve_location(LOCATION)) as store:
        [study] = store.storage.get_all_studies()
        record = json.loads(json.dumps(study.user_attrs[STUDY]))
    plan = make_plan(resolve_location(LOCATION), Request(study_name="quick"))
    assert record["definition_digest"] == plan.definition.digest()
    assert record["data_digest"] == plan.tokens.digest


def test_a_newer_record_is_explained() -> None:
    create(Request(definition="quick", settings=TINY))
    with open_for_search(resolve_location(LOCATION)) as store:
        [study] = store.storage.get_all_studies()
        value = study.user_attrs[STUDY] | {"format": 99}
        store.storage.set_study_user_attr(study._study_id, STUDY, value)
    with pytest.raises(StudyError, match=r"written by a newer cvfp-opt .*pip install -U"):
        make_plan(resolve_location(LOCATION), Request(study_name="quick"))


def test_a_study_is_not_asked_for_keys_that_it_is_older_than() -> None:
    """What an earlier version did is gone on with, whatever the default is now."""
    create(Request(definition="quick", settings=TINY))
    with open_for_search(resolve_location(LOCATION)) as store:
        study_id = store.storage.get_study_id_from_name("quick")
        record = store.storage.get_study_user_attrs(study_id)[STUDY]
        for section, keys in FORMER.items():
            for key in keys:
                del record["definition"][section][key]
        store.storage.set_study_user_attr(study_id, STUDY, record)
    for request in (
        Request(study_name="quick"),
        Request(definition="quick", settings=[*TINY, "search.seed=0"]),
    ):
        plan = make_plan(resolve_location(LOCATION), request)
        definition = json.loads(json.dumps(plan.definition.to_dict()))
        for section, keys in FORMER.items():
            assert {key: definition[section][key] for key in keys} == keys
    asked = Request(definition="quick", settings=[*TINY, "training.precision=bfloat16"])
    with pytest.raises(StudyError, match='the study has "float32", you asked for "bfloat16"'):
        make_plan(resolve_location(LOCATION), asked)
