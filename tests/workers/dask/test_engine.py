"""The Dask engine on a scripted cluster: deaths, refusals and stops."""

from collections.abc import Callable, Iterator
from itertools import repeat

import pytest
from scripted_cluster import DONE, A, B, Bench, C, FakeCluster, member

from cvfp_opt.errors import ClusterError, CvfpOptError, DataError, SearchError
from cvfp_opt.store.record.records import TrialRecord
from cvfp_opt.tuning.stopping import SearchStopped
from cvfp_opt.workers.dask.members import Member
from cvfp_opt.workers.listener import WorkerError
from cvfp_opt.workers.messages import (
    Began,
    Broken,
    Ended,
    Ending,
    Message,
    Notice,
    Refused,
    TrialFinished,
    TrialStarted,
)


def dying(cluster: FakeCluster, finish: Callable[[], None]) -> Iterator[list[Member]]:
    """Each worker dies after it began; its nanny starts another one at another address."""
    for death in range(100):
        here = member(f"w{death}")
        yield [here]
        cluster.say(death, Began(1), TrialStarted(death % 3, {}))
        finish()
        yield [here]
        yield from repeat([], 2)
    raise AssertionError("goes on for ever")


def test_workers_that_keep_dying_are_given_up(bench: Callable[..., Bench]) -> None:
    at_work = bench(lambda cluster: dying(cluster, lambda: None))
    at_work.run()
    deaths = [text for text in at_work.observer.notices if text.endswith(" died")]
    assert len(deaths) == 4
    assert deaths[0] == "Dask worker w0, which ran trial 0, died"
    with pytest.raises(SearchError, match="4 of 4 trials are left undone: 4 workers died"):
        at_work.workers.check_undone()


def test_where_workers_keep_dying_those_that_live_go_on_alone(
    bench: Callable[..., Bench],
) -> None:
    def script(cluster: FakeCluster) -> Iterator[list[Member]]:
        yield [A]
        cluster.say(0, Began(1))
        for death in range(1, 9):
            yield from repeat([A, member(f"w{death}")], 2)
            yield from repeat([A], 2)
        at_work.finish_trials(4)
        cluster.say(0, DONE)
        yield from repeat([A], 20)

    at_work = bench(script)
    at_work.run()
    assert len(at_work.cluster.tasks) == 1 + 5
    at_work.workers.check_undone()


def test_workers_may_die_for_ever_if_trials_finish_in_between(bench: Callable[..., Bench]) -> None:
    def finish() -> None:
        at_work.finish_trials(1)
        record = TrialRecord.of(at_work.study.trials[-1])
        at_work.cluster.say(len(at_work.cluster.tasks) - 1, TrialFinished(record))

    at_work = bench(lambda cluster: dying(cluster, finish), total=20)
    at_work.run()
    at_work.workers.check_undone()
    assert len(at_work.cluster.tasks) == 20


def test_a_worker_that_cannot_search_is_left_out_where_others_can(
    bench: Callable[..., Bench],
) -> None:
    def script(cluster: FakeCluster) -> Iterator[list[Member]]:
        yield [A, B]
        cluster.say(0, Began(1))
        cluster.say(1, Began(1), Refused(DataError("no such file")))
        yield [A, B]
        yield [A, B]
        cluster.say(0, DONE)
        yield from repeat([A, B], 20)

    at_work = bench(script)
    at_work.run()
    assert len(at_work.cluster.tasks) == 2
    assert "left out: Dask worker b: no such file" in at_work.observer.notices


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (Refused(DataError("no such file")), DataError),
        (Broken("ValueError: x", "trace"), WorkerError),
    ],
)
def test_an_error_that_no_worker_escapes_ends_the_search(
    bench: Callable[..., Bench], message: Message, error: type[Exception]
) -> None:
    def script(cluster: FakeCluster) -> Iterator[list[Member]]:
        yield [A]
        cluster.say(0, Began(1), message)
        yield from repeat([A], 20)

    at_work = bench(script)
    with pytest.raises(error):
        at_work.run()


def test_a_search_that_gives_up_ends_all_its_tasks(bench: Callable[..., Bench]) -> None:
    def script(cluster: FakeCluster) -> Iterator[list[Member]]:
        yield [A, B]
        cluster.say(0, Began(1))
        cluster.say(1, Began(1), Refused(SearchError("the first 5 trials all failed")))
        yield from repeat([A, B], 20)

    at_work = bench(script)
    with pytest.raises(CvfpOptError, match="the first 5"):
        at_work.run()
    assert all(future.released for _, _, future in at_work.cluster.tasks)


def test_what_comes_late_from_a_worker_that_is_gone_is_not_heard(
    bench: Callable[..., Bench],
) -> None:
    def script(cluster: FakeCluster) -> Iterator[list[Member]]:
        yield [A]
        cluster.say(0, Began(1))
        yield [A]
        yield from repeat([B], 4)
        cluster.say(0, Notice("from the past"), Refused(DataError("too")))
        cluster.say(1, Began(1), DONE)
        yield from repeat([B], 20)

    at_work = bench(script)
    at_work.run()
    assert "Dask worker a died" in at_work.observer.notices
    assert "from the past" not in at_work.observer.notices


def test_a_stop_takes_back_what_has_not_begun_and_waits_for_the_rest(
    bench: Callable[..., Bench],
) -> None:
    def script(cluster: FakeCluster) -> Iterator[list[Member]]:
        yield [A, B]
        cluster.say(0, Began(1))
        yield [A, B]
        at_work.stop.came = True
        at_work.workers.stop()
        yield [A, B]
        assert all(future.released for _, _, future in cluster.tasks)
        yield [A, B, C]
        cluster.say(0, Ended(Ending.UNWANTED))
        yield from repeat([A, B, C], 20)

    at_work = bench(script)
    with pytest.raises(SearchStopped):
        at_work.run()
    assert len(at_work.cluster.tasks) == 2


def test_a_retired_workers_trial_is_told_and_taken_by_others(bench: Callable[..., Bench]) -> None:
    def script(cluster: FakeCluster) -> Iterator[list[Member]]:
        yield [A, B]
        cluster.say(0, Began(1), TrialStarted(0, {}))
        cluster.say(1, Began(1), DONE)
        yield [A, B]
        cluster.say(0, Ended(Ending.RETIRED))
        yield from repeat([B], 3)
        cluster.say(2, Began(1), DONE)
        yield from repeat([B], 20)

    at_work = bench(script)
    at_work.run()
    assert [task[0] for task in at_work.cluster.tasks] == [A, B, B]
    assert "Dask worker a, which ran trial 0, retires and gave it back" in at_work.observer.notices


def test_a_scheduler_that_is_gone_ends_the_search(bench: Callable[..., Bench]) -> None:
    def script(cluster: FakeCluster) -> Iterator[list[Member]]:
        yield [A]
        raise ClusterError("gone")

    with pytest.raises(ClusterError):
        bench(script).run()
