"""What a study's trials show is told: the end, budgets, a new best, failures, lost trials."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from claiming import Workers, take
from known_studies import audit, complete
from sqlalchemy import update
from telling import age, end, fail, our_study, subject, told

from cvfp_opt.store.database.storage import Store
from cvfp_opt.store.database.tables import TRIALS
from cvfp_opt.store.queue import control
from cvfp_opt.store.queue.announcing import (
    BEST_SECONDS,
    Announcer,
    announce_best,
    announce_end,
    announce_failures,
)
from cvfp_opt.store.queue.events import read_events
from cvfp_opt.store.record.progress import ProgressTracker


def test_the_end_of_a_study_is_told_once_for_each_total(store: Store) -> None:
    study = our_study(store, total=2)
    [first] = end(study, complete(0.5, 0.9, 0.9))
    assert not announce_end(store, subject(study), first)
    _, best = end(study, complete(0.5, 0.98, 0.9))
    for _ in range(2):
        assert announce_end(store, subject(study), best)
    control.amend(store, study, {"total": 3})
    end(study, fail())
    announce_end(store, subject(study), best)
    assert told(store) == [
        ("study-done", "is done: 2 of 2 trials, best score 0.9400 (trial 1)"),
        ("study-done", "is done: 3 of 3 trials, best score 0.9400 (trial 1)"),
    ]
    details = read_events(store)[-1].details
    assert details["counts"] == {"complete": 2, "fail": 1}
    assert details["best"]["passed_audit"] is True


def test_what_ended_long_ago_is_not_told_again(store: Store) -> None:
    study = our_study(store, total=1)
    [best] = end(study, complete(0.5, 0.9, 0.9))
    long_ago = datetime.now() - timedelta(days=20)
    with store.engine.begin() as connection:
        connection.execute(update(TRIALS).values(datetime_complete=long_ago))
    announce_end(store, subject(study), best)
    assert best.completed is not None
    old = replace(best, completed=best.completed - 20 * 86_400)
    assert announce_best(store, subject(study), old, 0.0) == 0.0
    assert told(store) == []


def test_a_spent_budget_is_told_once_for_each_budget(store: Store) -> None:
    study = our_study(store, total=9)
    control.amend(store, study, {"max_failed": 1})
    end(study, fail())
    announce_end(store, subject(study), None)
    end(study, fail())
    announce_end(store, subject(study), None)
    control.amend(store, study, {"max_failed": 2})
    announce_end(store, subject(study), None)
    assert told(store) == [
        ("budget-spent", "its budget is spent: 1 failed trials, of a budget of 1"),
        ("budget-spent", "its budget is spent: 2 failed trials, of a budget of 2"),
    ]


def test_a_new_best_is_told_if_it_passed_its_audit(store: Store) -> None:
    study = our_study(store)
    bad = audit(near_zero=True)
    first, degenerate = end(study, complete(0.5, 0.9, 0.8), complete(0.5, 1.0, 1.0, audit=bad))
    for record in (first, degenerate, first):
        assert announce_best(store, subject(study), record, 0.0) == 0.0
    untrained, unaudited = end(study, complete(0.5, 0.4, 0.5), complete(0.5, 1.0, 0.9, audit={}))[
        2:
    ]
    for record in (untrained, unaudited):
        announce_best(store, subject(study), record, 0.0)
    assert told(store) == [("new-best", "trial 0 is the new best, score 0.8500")]
    assert read_events(store)[0].details["untrained_score"] == 0.49


def test_new_bests_are_told_once_a_minute_and_the_last_one_is_not_lost(store: Store) -> None:
    study = our_study(store)
    announcer, tracker = Announcer(store=store, study=study), ProgressTracker(study)

    def ends(convergence: float) -> None:
        record = end(study, complete(0.5, convergence, 0.9))[-1]
        announcer.trial_ended(record, tracker.progress().best)

    for convergence in (0.8, 0.85, 0.9):
        ends(convergence)
    assert [words for _, words in told(store)] == ["trial 0 is the new best, score 0.8500"]
    announcer.search_ended(tracker.progress().best)
    other = Announcer(store=store, study=study)  # another process, which knows the best, too
    other.search_ended(tracker.progress().best)
    ends(0.95)
    age(store, BEST_SECONDS + 1)
    Announcer(store=store, study=study).trial_ended(
        end(study)[-1], ProgressTracker(study).progress().best
    )
    assert [words for _, words in told(store)] == [
        "trial 0 is the new best, score 0.8500",
        "trial 2 is the new best, score 0.9000",
        "trial 3 is the new best, score 0.9250",
    ]
    assert read_events(store)[-1].details["before"] == pytest.approx(0.9)


def test_a_worker_that_moves_on_after_each_trial_tells_no_more_bests(store: Store) -> None:
    study = our_study(store, total=3)
    for convergence in (0.8, 0.85, 0.9):
        record = end(study, complete(0.5, convergence, 0.9))[-1]
        announcer = Announcer(store=store, study=study)  # anew in each study that it comes to
        announcer.trial_ended(record, record)
        announcer.search_ended(record, moves_on=True)
        if convergence == 0.85:
            assert [kind for kind, _ in told(store)] == ["new-best"]
    assert [words for kind, words in told(store) if kind == "new-best"] == [
        "trial 0 is the new best, score 0.8500",
        "trial 2 is the new best, score 0.9000",
    ]
    assert "study-done" in [kind for kind, _ in told(store)]


def test_failures_in_a_row_are_told_once(store: Store) -> None:
    study = our_study(store)
    about = subject(study)

    def ends(*statuses: str) -> None:
        for status in statuses:
            end(study, complete(0.5, 0.9, 0.9) if status == "finished" else fail(status))
            announce_failures(store, about)

    ends("error", "error", "diverged", "error", "lost", "finished", "error", "error")
    assert told(store) == []
    ends("error", "refused", "error")
    [event] = read_events(store)
    assert (event.kind, event.details["trials"]) == ("failures", [6, 7, 8])
    assert event.text.endswith("the last 3 trials failed, the newest with: it was error")
    ends("finished", *["error"] * 11)
    assert [one.details["in_a_row"] for one in read_events(store)] == [3, 3, 10]


def test_a_trial_that_is_given_up_is_told_by_whoever_finds_it(
    store: Store, workers: Workers
) -> None:
    study = our_study(store, "ours")
    ours = Workers(store, study)
    for _ in range(4):
        take(ours.add(pid=2**30, seconds=0.0))
    waiting = ours.add(seconds=0.0)
    waiting.max_retries = 3
    waiting.claim(9)
    assert told(store) == [("trial-lost", "trial 0 is lost: 4 workers died while they ran it")]


def test_a_best_that_cannot_win_is_not_told_so_that_the_one_that_can_is(store: Store) -> None:
    study = our_study(store)
    shrunk, sound = end(study, complete(0.5, 1.0, 1.0, {"scale": 0.1}), complete(0.5, 0.9, 0.8))
    for record in (shrunk, sound):
        announce_best(store, subject(study), record, 0.0)
    assert told(store) == [("new-best", "trial 1 is the new best, score 0.8500")]
