"""A study is submitted whole, once; what is wanted of it is kept; another one is refused."""

import re
from typing import Any

import pytest
from support import TINY

import cvfp_opt as cv
from cvfp_opt.api.submitting import submit_request
from cvfp_opt.api.wishes import Wishes
from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.tuning.plan import Request

FILE = "s.db"


def submit(**words: Any) -> cv.Study:
    return cv.submit("quick", storage=FILE, **{"n_trials": 3, **words})


def test_it_is_there_with_all_that_is_wanted_of_it_and_no_trial() -> None:
    study = submit(
        name="mine",
        priority=2,
        weight=0.5,
        max_workers=1,
        budget_hours=2,
        max_failed=4,
        until="2030-01-01T00:00:00+00:00",
        tags=["paper", "paper", "b"],
    )
    [queued] = cv.queue(storage=FILE)
    entry = queued.entry
    assert (study.name, queued.name, queued.to_begin, len(study)) == ("mine", "mine", 3, 0)
    assert (entry.total, entry.priority, entry.weight, entry.max_workers) == (3, 2, 0.5, 1)
    assert (entry.max_seconds, entry.max_failed, entry.until) == (7200.0, 4, 1893456000.0)
    assert entry.tags == ("paper", "b")
    assert entry.owner
    assert entry.submitted


def test_submitted_again_nothing_is_changed() -> None:
    submit(weight=2)
    before = cv.queue(storage=FILE)
    submit(weight=2)
    assert cv.queue(storage=FILE) == before


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({"n_trials": 4}, "with n_trials 3, not 4; to change it, type `cvfp-opt study set"),
        ({"weight": 2, "tags": "x"}, 'with weight 1.0, not 2, tags [], not ["x"]'),
    ],
)
def test_another_wish_for_it_is_refused(words: dict[str, Any], text: str) -> None:
    submit()
    with pytest.raises(cv.StudyExists, match=re.escape(text)):
        submit(**words)
    assert cv.queue(storage=FILE)[0].entry.version == 0


def test_another_definition_of_that_name_is_refused() -> None:
    submit(name="mine")
    with pytest.raises(cv.StudyError, match="was created with another definition"):
        cv.submit(cv.define("quick").set("search.seed", 7), name="mine", n_trials=3, storage=FILE)


def test_a_study_of_before_there_was_a_queue_gets_its_place() -> None:
    from cvfp_opt.store.database.storage import open_for_search
    from cvfp_opt.tuning.plan import make_plan

    location = resolve_location(FILE)
    plan = make_plan(location, Request(definition="quick"))
    with open_for_search(location) as store:
        plan.enter(store, {})
    assert cv.queue(storage=FILE)[0].entry.total is None
    submit(weight=2)
    entry = cv.queue(storage=FILE)[0].entry
    assert (entry.total, entry.weight) == (3, 2)


def test_a_study_of_somebody_else_is_not_joined_in_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CVFP_OPT_OWNER", "alice")
    location = resolve_location(FILE)
    words = {"definition": "quick", "settings": TINY}
    submit_request(location, Request(**words), Wishes(n_trials=1))
    monkeypatch.setenv("CVFP_OPT_OWNER", "bob")
    plan = cv.define("quick")
    with pytest.raises(
        cv.StudyError,
        match="is alice's; to work on it with them, add --study-name quick; for one of your own, "
        "--study-name quick-bob",
    ):
        cv.search(plan, storage=FILE, n_trials=1)
    done = submit_request(location, Request(**words, study_name="quick-bob"), Wishes(n_trials=1))
    assert (done.created, done.entry.owner) == (True, "bob")


def test_what_is_wanted_can_be_changed_and_taken_away() -> None:
    study = submit(weight=2, max_workers=1, tags=["x"])
    study.set(n_trials=9, max_workers=None, tags=[], priority=-1)
    entry = cv.queue(storage=FILE)[0].entry
    assert (entry.total, entry.weight, entry.max_workers) == (9, 2, None)
    assert (entry.tags, entry.priority, entry.version) == ((), -1, 1)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({"n_trials": 0}, "n_trials: a whole number from 1"),
        ({"budget_hours": -1}, "budget_hours: hours above 0 are required, got -1"),
        ({"budget_hours": "two"}, 'budget_hours: hours above 0 are required, got "two"'),
        ({"until": "tomorrow"}, "until: a time as 2027-01-31T18:00 is required"),
        ({"until": 12}, "until: a time as 2027-01-31T18:00 is required, got 12"),
        ({"tags": ["a b\n"]}, "tags: a list of at most 32 words"),
        ({"wieght": 2}, "unexpected keyword"),
    ],
)
def test_a_wish_that_does_not_fit_is_refused_and_nothing_is_written(
    words: dict[str, Any], text: str
) -> None:
    with pytest.raises((cv.DefinitionError, TypeError), match=re.escape(text)):
        submit(**words)
    with pytest.raises(cv.StorageError):
        cv.queue(storage=FILE)
