"""Which study another one belongs to: its record says so, never its name."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import optuna
import pytest
from claiming import take
from doctoring import RECORD, report_run
from optuna.trial import TrialState, create_trial
from sqlalchemy import delete

from cvfp_opt.errors import StudyError
from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.study_rows import METRIC_NAMES
from cvfp_opt.store.database.tables import STUDY_USER_ATTRIBUTES
from cvfp_opt.store.queue.claims import Claims
from cvfp_opt.store.queue.confirmation_runs import enter_confirmation
from cvfp_opt.store.record.confirmation import read_runs
from cvfp_opt.store.record.links import Source
from cvfp_opt.store.record.mirrors import MIRRORS, SOURCE_TRIAL, left_out, sync_mirrors
from cvfp_opt.store.record.records import CONFIRMATION_POINTS, CONFIRMS, MIRROR_OF, MIRRORED, STUDY
from cvfp_opt.store.record.studies import create_study, study_names
from cvfp_opt.store.transfer.editing import delete_study, rename_study
from cvfp_opt.store.transfer.from_database import read_dump

# What does not depend on the kind of database.
on_a_file = pytest.mark.parametrize("location", ["sqlite"], indirect=True)
OTHER = "b" * 32
Make = Callable[[Store], None]


def searched(store: Store, name: str = "s") -> optuna.Study:
    """A study of ours with one complete trial."""
    study = create_study(store, name, RECORD)
    claims = Claims(store=store, study=study, seed=7)
    writer = take(claims)
    report_run(writer)
    writer.finish(TrialState.COMPLETE, [0.625])
    return study


def load(store: Store, name: str) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=store.storage)


def look(study: optuna.Study) -> tuple[Any, ...]:
    """All that a study says and has."""
    system_attrs = study._storage.get_study_system_attrs(study._study_id)
    trials = [(t.number, t.state, t.values, t.user_attrs) for t in study.get_trials()]
    return study.directions, study.user_attrs, system_attrs, trials


def one_objective(store: Store) -> None:
    optuna.create_study(study_name="s/pareto", storage=store.storage, direction="minimize")


def filled(store: Store) -> None:
    study = optuna.create_study(
        study_name="s/pareto", storage=store.storage, directions=["maximize"] * 2
    )
    study.add_trial(create_trial(values=[1.0, 2.0]))
    study.set_user_attr("author", "somebody")


def empty(store: Store) -> None:
    optuna.create_study(study_name="s/pareto", storage=store.storage, directions=["maximize"] * 2)


def of_this_program(store: Store) -> None:
    create_study(store, "s/pareto", replace(RECORD, uuid=OTHER))


def mirror_of_a_former_study(store: Store) -> None:
    filled(store)
    study = load(store, "s/pareto")
    study.set_user_attr(MIRROR_OF, "s")
    study.set_user_attr(MIRRORED, OTHER)


def mirror_with_own_trials(store: Store) -> None:
    """As an older version left it, which took any study of that name."""
    filled(store)
    study = load(store, "s/pareto")
    study.set_user_attr(MIRROR_OF, "s")
    study.add_trial(create_trial(values=[0.5, 0.5], user_attrs={SOURCE_TRIAL: 0}))


FOREIGN: list[Make] = [
    one_objective,
    filled,
    empty,
    of_this_program,
    mirror_of_a_former_study,
    mirror_with_own_trials,
]


@on_a_file
@pytest.mark.parametrize("make", FOREIGN)
def test_a_study_that_only_has_a_mirrors_name_is_left_alone(store: Store, make: Make) -> None:
    make(store)
    before = look(load(store, "s/pareto"))
    study = searched(store)
    sync_mirrors(store, study)
    sync_mirrors(store, study)
    assert look(load(store, "s/pareto")) == before
    assert len(load(store, "s/pareto-audited").trials) == 1
    [line] = left_out(store, study)
    assert line.startswith("study 's' has no Pareto front s/pareto: ")
    [mirror] = read_dump(store, "s").mirrors
    assert mirror.name == "s/pareto-audited"


@on_a_file
@pytest.mark.parametrize("make", FOREIGN)
def test_nor_does_it_go_with_the_study(store: Store, make: Make) -> None:
    make(store)
    study = searched(store)
    sync_mirrors(store, study)
    before = look(load(store, "s/pareto"))
    rename_study(store, "s", "t")
    assert look(load(store, "s/pareto")) == before
    rename_study(store, "t", "s")
    delete_study(store, "s", None)
    assert [s.study_name for s in store.storage.get_all_studies()] == ["s/pareto"]
    directions, attrs, system_attrs, trials = look(load(store, "s/pareto"))
    if make is mirror_with_own_trials:  # and nobody's mirror any more
        assert study_names(store) == ["s/pareto"]
        attrs = {**attrs, MIRROR_OF: "s"}
    assert (directions, attrs, system_attrs, trials) == before


def test_a_front_comes_when_its_name_is_free(store: Store) -> None:
    filled(store)
    study = searched(store)
    sync_mirrors(store, study)
    rename_study(store, "s/pareto", "mine")
    sync_mirrors(store, study)
    assert left_out(store, study) == []
    for mirror in MIRRORS:
        [copy] = load(store, f"s/{mirror.suffix}").trials
        assert copy.user_attrs[SOURCE_TRIAL] == 0
    assert len(load(store, "mine").trials) == 1


@on_a_file
def test_a_mirror_of_before_is_gone_on_with_and_told_whose_it_is(store: Store) -> None:
    study = searched(store)
    sync_mirrors(store, study)
    before = [load(store, f"s/{mirror.suffix}") for mirror in MIRRORS]
    linked = {MIRROR_OF: "s", MIRRORED: RECORD.identity}
    assert [old.user_attrs for old in before] == [linked] * 2
    attributes = STUDY_USER_ATTRIBUTES
    with store.engine.begin() as connection:
        connection.execute(delete(attributes).where(attributes.c.key == MIRRORED))
    assert [old.user_attrs for old in before] == [{MIRROR_OF: "s"}] * 2
    sync_mirrors(store, study)
    for old, mirror in zip(before, MIRRORS, strict=True):
        assert load(store, f"s/{mirror.suffix}")._study_id == old._study_id
        assert (len(old.trials), old.user_attrs) == (1, linked)


@on_a_file
def test_a_mirror_that_was_cut_off_at_birth_is_completed(store: Store) -> None:
    """Its metric names say what it is."""
    empty(store)
    names = list(MIRRORS[0].metric_names)
    cut = load(store, "s/pareto")
    store.storage.set_study_system_attr(cut._study_id, METRIC_NAMES, names)
    study = searched(store)
    sync_mirrors(store, study)
    assert cut.user_attrs == {MIRROR_OF: "s", MIRRORED: RECORD.identity}
    assert len(cut.trials) == 1


@on_a_file
def test_a_study_made_anew_does_not_own_what_was_the_former_ones(store: Store) -> None:
    former = searched(store)
    sync_mirrors(store, former)
    confirmation = enter_confirmation(store, "s", RECORD.identity, replace(RECORD, uuid=OTHER))
    optuna.delete_study(study_name="s", storage=store.storage)  # knows nothing of the others
    new = replace(RECORD, uuid="c" * 32)
    study = create_study(store, "s", new)
    sync_mirrors(store, study)
    assert len(left_out(store, study)) == 2
    assert [len(load(store, f"s/{mirror.suffix}").trials) for mirror in MIRRORS] == [1, 1]
    assert read_runs(study, new) is None
    with pytest.raises(StudyError, match="is no confirmation of this study 's'"):
        enter_confirmation(store, "s", new.identity, RECORD)
    assert read_dump(store, "s").studies == (read_dump(store, "s").study,)
    delete_study(store, "s", None)
    left = {s.study_name for s in store.storage.get_all_studies()}
    assert left == {"s/pareto", "s/pareto-audited", "s/confirm"}
    assert confirmation.user_attrs[CONFIRMS] == "s"


@on_a_file
def test_a_copy_under_another_name_is_not_the_studys_own(store: Store) -> None:
    """Optuna copies a mirror with all its attributes, and so does its dashboard to rename one."""
    sync_mirrors(store, searched(store))
    optuna.copy_study(
        from_study_name="s/pareto",
        to_study_name="mine",
        from_storage=store.storage,
        to_storage=store.storage,
    )
    delete_study(store, "s", None)
    assert [s.study_name for s in store.storage.get_all_studies()] == ["mine"]


@on_a_file
@pytest.mark.parametrize("what", ["attributes", "search"])
def test_a_study_that_only_has_a_confirmations_name_is_left_alone(store: Store, what: str) -> None:
    source = searched(store)
    theirs = optuna.create_study(
        study_name="s/confirm", storage=store.storage, direction="maximize"
    )
    if what == "attributes":
        theirs.set_user_attr("author", "somebody")
    else:  # of this program, and without a trial yet
        replace(RECORD, uuid=OTHER, definition_digest="2" * 64).write(theirs)
    before = look(theirs)
    with pytest.raises(StudyError, match=r"made by another program|is no confirmation"):
        enter_confirmation(store, "s", RECORD.identity, replace(RECORD, uuid="c" * 32))
    assert look(theirs) == before
    assert read_runs(source, RECORD) is None
    delete_study(store, "s", None)
    assert look(theirs) == before


def test_what_a_study_says_of_itself_need_not_be_readable() -> None:
    old = {"definition_digest": "0", "created": 1.0}
    [name, *_] = mirrors = [f"s/{mirror.suffix}" for mirror in MIRRORS]
    for record, uuid, expected in (
        (None, None, True),
        (None, OTHER, False),
        ({"uuid": OTHER}, OTHER, True),
        ({"uuid": OTHER}, None, True),
        ({"uuid": OTHER}, ["x"], False),
        ("damaged", OTHER, True),
        ({}, OTHER, True),
        (old, OTHER, False),
    ):
        source = Source.of("s", {} if record is None else {STUDY: record})
        attrs = {MIRROR_OF: "s"} if uuid is None else {MIRROR_OF: "s", MIRRORED: uuid}
        assert source.has_mirror(name, attrs) is expected, (record, uuid)
        assert not source.has_mirror("t/pareto", attrs)
        assert not source.has_mirror(name, {**attrs, MIRROR_OF: {"s": 1}})
        assert not source.has_confirmation(name, attrs)
    for points in (None, [1], {"uuid": None}, {}):
        assert Source.of("s", {}).has_confirmation(
            "s/confirm", {CONFIRMS: "s", CONFIRMATION_POINTS: points}
        )
    assert len(set(mirrors)) == len(MIRRORS)
