"""Which study a worker serves next: priority, then a fair share by weight, within one trial."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from cvfp_opt.store.queue.choice import Served, choose
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
    found = choose(studies, ME, Served(), current)
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
    assert chosen(queued(1, "a"), queued(2), current=1) == 2
    assert chosen(queued(1), queued(2, priority=1), current=1) == 2


def serve(weights: dict[int, float], workers: int, rounds: int) -> list[Counter[int]]:
    """Let workers run trials of one second each; who runs where after each round."""
    studies = {one: queued(one, weight=weight) for one, weight in weights.items()}
    served = [Served() for _ in range(workers)]
    at: dict[int, int | None] = dict.fromkeys(range(workers))
    seen = []
    for _ in range(rounds):
        for worker in range(workers):  # one after the other ends its trial and chooses
            current = at[worker]
            if current is not None:
                served[worker].add(current, 1.0)
            others = [w for w in at if w != worker and at[w] is not None]
            now = [
                replace(
                    study,
                    running=tuple(
                        RunningTrial(number=w, lease=lease(f"w{w}"), dead=False)
                        for w in others
                        if at[w] == one
                    ),
                )
                for one, study in studies.items()
            ]
            found = choose(now, f"w{worker}", served[worker], current)
            assert found is not None
            at[worker] = found.study_id
            seen.append(Counter(value for value in at.values() if value is not None))
    return seen


@pytest.mark.parametrize("weights", [{1: 1, 2: 1}, {1: 3, 2: 1}, {1: 1, 2: 2, 3: 5}])
@pytest.mark.parametrize("workers", [4, 7, 16])
def test_many_workers_are_shared_by_weight_within_one_trial_a_study(
    weights: dict[int, float], workers: int
) -> None:
    total = sum(weights.values())
    for counts in serve(weights, workers, rounds=30)[10 * workers :]:
        for one, weight in weights.items():
            assert abs(counts[one] - workers * weight / total) <= 1


@pytest.mark.parametrize("weights", [{1: 1, 2: 1}, {1: 3, 2: 1}, {1: 1, 2: 2, 3: 5}])
def test_one_worker_shares_its_time_by_weight(weights: dict[int, float]) -> None:
    rounds = 400
    ran = Counter[int]()
    for counts in serve(weights, 1, rounds):
        ran += counts
    for one, weight in weights.items():
        assert ran[one] / rounds == pytest.approx(weight / sum(weights.values()), abs=0.03)


def test_a_study_that_comes_is_owed_nothing_for_the_time_before() -> None:
    served = Served()
    served.compete([1])
    served.add(1, 1000.0)
    served.compete([1, 2])
    assert served.share(1) == served.share(2) == 0.0
    served.add(1, 1.0)
    served.compete([1])  # one that leaves changes nothing
    assert served.share(1) == 1.0
