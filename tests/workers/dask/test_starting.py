"""The Dask engine on a scripted cluster: which tasks it starts, with how many threads."""

from collections.abc import Callable, Iterator
from itertools import repeat

import pytest
from scripted_cluster import DONE, A, B, Bench, C, FakeCluster, member

from cvfp_opt.workers.dask import engine as dask
from cvfp_opt.workers.dask.members import Member
from cvfp_opt.workers.dask.task import end_after_trial
from cvfp_opt.workers.messages import (
    Began,
    Ended,
    Ending,
)


@pytest.mark.parametrize(
    ("total", "count", "tasks"), [(9, None, 3), (2, None, 2), (9, 1, 1), (9, 5, 3)]
)
def test_there_are_as_many_tasks_as_workers_trials_and_jobs_allow(
    bench: Callable[..., Bench], total: int, count: int | None, tasks: int
) -> None:
    def script(cluster: FakeCluster) -> Iterator[list[Member]]:
        yield [A, B, C]
        yield [A, B, C]
        for task in range(tasks):
            cluster.say(task, Began(1), DONE)
        yield from repeat([A, B, C], 20)

    at_work = bench(script, total=total, count=count)
    at_work.run()
    assert [task[0] for task in at_work.cluster.tasks][:tasks] == [A, B, C][:tasks]
    assert len({task[1].key for task in at_work.cluster.tasks}) == len(at_work.cluster.tasks)


def test_a_worker_that_joins_gets_a_task_and_one_that_did_not_answer_gets_it_later(
    bench: Callable[..., Bench],
) -> None:
    def script(cluster: FakeCluster) -> Iterator[list[Member]]:
        yield []
        cluster.unanswered = {A.address}
        yield [A]
        assert cluster.tasks == []
        cluster.unanswered = set()
        yield from repeat([A], 2)
        assert [task[0] for task in cluster.tasks] == [A]
        yield from repeat([A, B], 2)
        cluster.say(0, Began(1), DONE)
        cluster.say(1, Began(1), DONE)
        yield from repeat([A, B], 20)

    at_work = bench(script)
    at_work.run()
    assert [task[0] for task in at_work.cluster.tasks] == [A, B]


def test_waiting_for_a_first_worker_is_said_once(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask, "ALONE_SECONDS", 0.0)

    def script(cluster: FakeCluster) -> Iterator[list[Member]]:
        for _ in range(5):
            yield []
        at_work.finish_trials(4)
        yield from repeat([], 20)

    at_work = bench(script)
    at_work.run()
    [notice] = at_work.observer.notices
    assert "`dask worker tcp://scheduler:8786` adds one" in notice


def test_threads_are_what_dask_was_given_but_never_more_than_the_host_has(
    bench: Callable[..., Bench],
) -> None:
    one = member("one", host="h", num_threads=4, threads=4)
    two = member("two", host="h", num_threads=4, threads=4)
    apart = member("apart", num_threads=2, threads=64)

    def script(cluster: FakeCluster) -> Iterator[list[Member]]:
        yield [one, apart]
        cluster.say(0, Began(4))
        cluster.say(1, Began(2))
        yield from repeat([one, apart], 2)
        yield from repeat([one, two, apart], 2)
        assert cluster.called == [(one.address, end_after_trial, cluster.tasks[0][1].key)]
        yield [one, two, apart]
        cluster.say(0, Ended(Ending.LEFT))
        yield from repeat([one, two, apart], 2)
        cluster.say(3, Began(2))
        yield [one, two, apart]
        at_work.finish_trials(9)
        for task in (1, 2, 3):
            cluster.say(task, DONE)
        yield from repeat([], 20)

    at_work = bench(script, total=9)
    at_work.run()
    tasks = [(task[0].name, task[1].threads) for task in at_work.cluster.tasks]
    assert tasks == [
        ("Dask worker one", 4),
        ("Dask worker apart", 2),
        ("Dask worker two", 2),
        ("Dask worker one", 2),
    ]
    assert "2 of 2 Dask workers search: 1 with 2 threads, 1 with 4 threads" in (
        at_work.observer.notices
    )
    assert len(at_work.cluster.called) == 1


def test_threads_that_the_user_named_are_taken(bench: Callable[..., Bench]) -> None:
    def script(cluster: FakeCluster) -> Iterator[list[Member]]:
        yield [A]
        cluster.say(0, Began(6), DONE)
        yield from repeat([A], 20)

    at_work = bench(script, threads=6)
    at_work.run()
    assert at_work.cluster.tasks[0][1].threads == 6
