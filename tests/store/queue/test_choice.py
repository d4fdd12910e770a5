"""Which study a worker serves next: priority, then a fair share by weight, within one trial."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from cvfp_opt.store.queue.choice import Competition, choose
from cvfp_opt.store.queue.leases import Lease
from cvfp_opt.store.queue.overview import QueuedStudy, RunningTrial
from cvfp_opt.store.record.queue_entry import QueueEntry, QueueState

ME = "me"


def lease(worker: str) -> Lease:
    return Lease(
        worker=worker,
        host="h",
        machine="m",
        pid=1,
        started=1.0,
        epoch=1,
        expires=9e9,
        seconds=60.0,
        attempts=0,
    )


def queued(
    study_id: int, *workers: str, dead: int = 0, finished: int = 0, spent: str = "", **entry: Any
) -> QueuedStudy:
    """A study of 100 trials, of which these workers run one each."""
    running = [RunningTrial(number=n, lease=lease(w), dead=False) for n, w in enumerate(workers)]
    running += [RunningTrial(number=90 + n, lease=lease("x"), dead=True) for n in range(dead)]
    return QueuedStudy(
        study_id=study_id,
        name=f"study {study_id}",
        entry=QueueEntry(**{"total": 100, **entry}),
        counts={"running": len(running), "complete": finished},
        running=tuple(running),
        spent=spent,
        last_start=str(finished),
    )


def chosen(*studies: QueuedStudy, current: int | None = None) -> int | None:
    found = choose(studies, ME, Competition(), current)
    return found.study_id if found else None


def test_the_highest_priority_is_served_first_and_none_without_work() -> None:
    assert chosen(queued(1), queued(2, "a", "b", priority=1)) == 2
    assert chosen(queued(1), queued(2, priority=1, finished=100)) == 1
    assert chosen() is None


@pytest.mark.parametrize(
    "study",
    [
        queued(1, state=QueueState.PAUSED),
        queued(1, state=QueueState.CANCELLED),
        queued(1, spent="its time is over"),
        queued(1, total=None),
        queued(1, finished=100),
        queued(1, "a", "b", max_workers=2),
    ],
    ids=["paused", "cancelled", "spent", "no total", "done", "as many workers as it may have"],
)
def test_what_may_not_begin_is_not_chosen(study: QueuedStudy) -> None:
    assert chosen(study) is None
    assert chosen(queued(1, "a", max_workers=2)) == 1


def test_one_of_the_workers_that_it_may_have_may_be_oneself() -> None:
    assert chosen(queued(1, ME, max_workers=1)) == 1


def test_trials_of_dead_workers_are_work() -> None:
    assert chosen(queued(1, dead=1, finished=99)) == 1


def test_the_fewest_workers_for_its_weight_and_of_equals_the_longest_unserved() -> None:
    assert chosen(queued(1, "a", "b", weight=3), queued(2, "c")) == 1
    assert chosen(queued(1, "a", "b", weight=1.5), queued(2, "c")) == 2
    assert chosen(queued(1, finished=7), queued(2, finished=3)) == 2


def test_a_worker_stays_unless_another_study_is_owed_more_than_a_trial() -> None:
    assert chosen(queued(1, finished=7), queued(2, finished=3), current=1) == 1
    assert chosen(queued(1, "a"), queued(2), current=1) == 1
    assert chosen(queued(1, "a", "b"), queued(2), current=1) == 2
    assert chosen(queued(1), queued(2, priority=1), current=1) == 2


def serve(weights: dict[int, float], workers: int, trials: int) -> list[Counter[int]]:
    """Let workers run trials of a second; how many of each study have begun, trial by trial."""
    known = [Competition() for _ in range(workers)]
    at: list[int | None] = [None] * workers
    ended, begun, seen = Counter[int](), Counter[int](), []
    while len(seen) < trials:
        worker = len(seen) % workers  # one after the other ends its trial and chooses
        current = at[worker]
        if current is not None:
            ended[current] += 1
        studies = [
            replace(
                queued(
                    one, *(f"w{w}" for w, where in enumerate(at) if where == one), weight=weight
                ),
                seconds=float(ended[one]),
                timed=ended[one],
            )
            for one, weight in weights.items()
        ]
        found = choose(studies, f"w{worker}", known[worker], current)
        assert found is not None
        at[worker] = found.study_id
        begun[found.study_id] += 1
        seen.append(begun.copy())
    return seen


@pytest.mark.parametrize("weights", [{1: 1, 2: 1}, {1: 3, 2: 1}, {1: 1, 2: 2, 3: 5}])
@pytest.mark.parametrize("workers", [1, 2, 3, 7, 16])
def test_weights_are_respected_within_one_trial_a_worker(
    weights: dict[int, float], workers: int
) -> None:
    # and two more: a worker leaves a study only when another one is owed more than a trial
    total = sum(weights.values())
    for number, begun in enumerate(serve(weights, workers, trials=400), 1):
        for one, weight in weights.items():
            assert abs(begun[one] - number * weight / total) <= workers + 2, (number, begun)


def test_longer_trials_count_for_more() -> None:
    long = replace(queued(1), seconds=100.0, timed=10)
    short = replace(queued(2), seconds=20.0, timed=20)
    competition = Competition()
    competition.update([replace(long, seconds=90.0), replace(short, seconds=19.0)])
    found = choose([long, short], ME, competition)
    assert found is not None
    assert found.study_id == 2  # each has had one trial, and the other's took longer


def test_a_study_that_comes_is_owed_nothing_for_the_time_before() -> None:
    old = replace(queued(1), seconds=1000.0, timed=10)
    competition = Competition()
    competition.update([replace(old, seconds=0.0)])
    assert competition.served(old, 100.0) == 10.0
    competition.update([old, queued(2)])
    assert competition.served(old, 100.0) == competition.served(queued(2), 100.0) == 0.0
    later = replace(old, seconds=1100.0)
    competition.update([later])  # one that leaves changes nothing
    assert competition.served(later, 100.0) == 1.0


def test_where_trials_take_no_time_their_number_counts() -> None:
    much, little = replace(queued(1), timed=9), replace(queued(2), timed=4)
    competition = Competition()
    competition.update([replace(much, timed=0), replace(little, timed=0)])
    found = choose([much, little], ME, competition)
    assert found is not None
    assert found.study_id == 2


def test_workers_that_choose_at_one_moment_do_not_all_choose_the_same() -> None:
    studies = [queued(number) for number in range(20)]
    found = [choose(studies, f"w{number}", Competition()) for number in range(20)]
    assert len({study.study_id for study in found if study}) > 8
