"""Creating a study where another program's lies, or one whose creation was cut off."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from doctoring import RECORD
from dumps import own_study
from support import TINY

from cvfp_opt.errors import StudyError
from cvfp_opt.store.database.location import Location, resolve_location
from cvfp_opt.store.database.storage import open_for_search
from cvfp_opt.store.database.study_rows import METRIC_NAMES
from cvfp_opt.store.queue.confirmation_runs import enter_confirmation
from cvfp_opt.store.record.mirrors import left_out, sync_mirrors
from cvfp_opt.store.record.records import CONFIRMS, MIRROR_OF, STUDY, StudyRecord
from cvfp_opt.store.record.studies import create_study, load_study, study_names, summarize
from cvfp_opt.store.transfer.editing import delete_study, rename_study
from cvfp_opt.store.transfer.to_database import write_dump
from cvfp_opt.tuning.plan import Request, make_plan

on_a_file = pytest.mark.parametrize("location", ["sqlite"], indirect=True)
on_mariadb = pytest.mark.parametrize("location", ["mysql"], indirect=True)


def asked(**words: Any) -> Request:
    return Request(definition="quick", settings=TINY, **words)


@pytest.mark.parametrize("what", ["trials", "attributes", "direction"])
def test_what_another_program_made_since_is_refused(what: str) -> None:
    location = resolve_location("x.db")
    plan = make_plan(location, Request(definition="quick", settings=TINY))
    assert not Path("x.db").exists()
    direction = "minimize" if what == "direction" else "maximize"
    theirs = optuna.create_study(study_name="quick", storage="sqlite:///x.db", direction=direction)
    if what == "trials":
        theirs.add_trial(optuna.trial.create_trial(value=1.0))
    if what == "attributes":
        theirs.set_user_attr("author", "somebody")
    with open_for_search(location) as store:
        with pytest.raises(StudyError, match="was made by another program"):
            plan.enter(store, {})
        record = StudyRecord(
            definition=plan.definition.to_dict(),
            definition_digest="",
            data_digest="",
            created=0.0,
            environment={},
        )
        with pytest.raises(StudyError, match="was made by another program"):
            create_study(store, "quick", record)


def test_a_study_that_was_cut_off_at_birth_is_completed() -> None:
    location = resolve_location("x.db")
    plan = make_plan(location, Request(definition="quick", settings=TINY))
    optuna.create_study(study_name="quick", storage="sqlite:///x.db", direction="maximize")
    with open_for_search(location) as store:
        study, created = plan.enter(store, {})
        assert created
        record = StudyRecord.of(study)
        assert record is not None
        assert record.definition_digest == plan.definition.digest()


@on_mariadb
def test_a_name_that_the_server_takes_for_another_is_refused(location: Location) -> None:
    """MariaDB's usual collation tells neither case nor accents nor spaces at the end."""
    with open_for_search(location) as store:
        study, _ = make_plan(location, asked()).enter(store, {})
        before, record = study.user_attrs, StudyRecord.of(study)
        assert record is not None
        create_study(store, "other", replace(record, uuid="c" * 32))
        for twin in ("Quick", "quick ", "qu\u00edck"):
            message = f"there is no study {twin!r}, but 'quick', which this server takes for"
            for refused in (
                lambda name: make_plan(location, asked(study_name=name, seed=7)),
                lambda name: create_study(store, name, replace(record, uuid="b" * 32)),
                lambda name: load_study(store, name),
                lambda name: delete_study(store, name, None),
                lambda name: write_dump(store, own_study(name=name)),
            ):
                with pytest.raises(StudyError, match=message):
                    refused(twin)
            message = "there is a study 'quick' already, which this server takes"
            with pytest.raises(StudyError, match=message):
                rename_study(store, "other", twin)
        assert study.user_attrs == before
        assert study_names(store) == ["quick", "other"]
        rename_study(store, "quick", "Quick")  # its own name is free to it
        assert study_names(store) == ["Quick", "other"]


@on_mariadb
def test_what_belongs_to_a_study_is_told_from_a_twin_of_its_name(location: Location) -> None:
    with open_for_search(location) as store:
        study, _ = make_plan(location, asked()).enter(store, {})
        for name in ("quick/PARETO", "quick/Confirm"):
            theirs = optuna.create_study(study_name=name, storage=store.storage)
            theirs.set_user_attr("author", "somebody")
        sync_mirrors(store, study)
        [line] = left_out(store, study)
        assert "this server takes the name for that of study 'quick/PARETO'" in line
        record = StudyRecord.of(study)
        assert record is not None
        with pytest.raises(StudyError, match="but 'quick/Confirm', which this server takes"):
            enter_confirmation(store, "quick", record.identity, record)
        delete_study(store, "quick", None)
        assert study_names(store) == ["quick/PARETO", "quick/Confirm"]


NAMES = [
    ("  ", "a name is required, got nothing"),
    ("x" * 497, "a name of at most 496 characters is required for a study, got 497"),
    ("a\0b", "a name of Unicode characters is required"),
    ("a\udc80b", "a name of Unicode characters is required"),
]


@on_a_file
def test_names_that_no_study_can_have(location: Location) -> None:
    with open_for_search(location) as store:
        for name, message in NAMES:
            with pytest.raises(StudyError, match=message):
                create_study(store, name, RECORD)
        create_study(store, "x" * 496, RECORD)
        assert study_names(store) == ["x" * 496]


def test_nobody_ever_sees_a_study_that_does_not_say_what_it_is(location: Location) -> None:
    """Whoever looks after any statement whatever sees all of it, or nothing."""
    with open_for_search(location) as store, open_for_search(location) as looking:
        bare: set[str] = set()

        @sqlalchemy.event.listens_for(store.engine, "after_cursor_execute")
        def look(*_: object) -> None:
            for study in looking.storage.get_all_studies():
                system_attrs = looking.storage.get_study_system_attrs(study._study_id)
                said = {STUDY, MIRROR_OF} & study.user_attrs.keys()
                linked = CONFIRMS in study.user_attrs or "/confirm" not in study.study_name
                if not said or not linked or METRIC_NAMES not in system_attrs:
                    bare.add(study.study_name)

        study = create_study(store, "s", RECORD)
        sync_mirrors(store, study)
        enter_confirmation(store, "s", RECORD.identity, replace(RECORD, uuid="b" * 32))
        names = [one.study_name for one in looking.storage.get_all_studies()]
        assert names == ["s", "s/pareto", "s/pareto-audited", "s/confirm"]
        assert bare == set()


def test_a_study_is_not_created_twice(location: Location) -> None:
    with open_for_search(location) as store:
        study = create_study(store, "s", RECORD)
        before = study.user_attrs
        with pytest.raises(StudyError, match="there is a study 's' already"):
            create_study(store, "s", replace(RECORD, uuid="b" * 32))
        assert study.user_attrs == before


def test_another_programs_study_of_this_moment_is_told_of(
    location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_for_search(location) as store:
        monkeypatch.setattr("cvfp_opt.store.record.studies.has_study", lambda *_: False)
        optuna.create_study(study_name="s", storage=store.storage)
        with pytest.raises(StudyError, match="another program has just made a study 's'; nothing"):
            create_study(store, "s", RECORD)


def test_a_listing_takes_as_many_statements_for_any_number_of_studies(location: Location) -> None:
    counts = []
    with open_for_search(location) as store:
        statements: list[str] = []
        sqlalchemy.event.listen(
            store.engine, "before_cursor_execute", lambda *call: statements.append(call[2])
        )
        for number in range(30):
            study = optuna.create_study(study_name=f"study {number}", storage=store.storage)
            for value in (0.5, float("inf"), float("-inf")):
                study.add_trial(optuna.trial.create_trial(value=value))
            study.enqueue_trial({})
            if number in (2, 29):
                statements.clear()
                rows = summarize(store)
                assert [row.name for row in rows] == [f"study {i}" for i in range(number + 1)]
                assert {row.best_value for row in rows} == {float("-inf")}
                assert rows[-1].num_trials == {"complete": 3, "waiting": 1}
                counts.append(len(statements))
    assert counts[0] == counts[1]


def test_a_study_of_two_objectives_is_listed_by_its_best_score(location: Location) -> None:
    with open_for_search(location) as store:
        study, _ = make_plan(location, Request(definition="pareto", settings=TINY)).enter(
            store, {}
        )
        for score in (0.25, 0.75, 0.5):
            attributes = {"scored": {"convergence_rate": 1, "effective_rank": 1, "score": score}}
            study.add_trial(
                optuna.trial.create_trial(values=[score, score], user_attrs=attributes)
            )
        study.add_trial(optuna.trial.create_trial(values=[1.0, 1.0], user_attrs={"scored": 9}))
        (row,) = summarize(store)
    assert row.best_value == 0.75
    assert row.num_trials == {"complete": 4}
