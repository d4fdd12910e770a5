"""Several trials at once: each runs once, none waits forever, a stop loses nothing."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from optuna.trial import TrialState
from searching import Act, Recorder, make_search
from support import TINY_ARGUMENTS, Outcome

from cvfp_opt.errors import SearchError
from cvfp_opt.store.database.location import resolve_location
from cvfp_opt.store.database.storage import Store, open_for_search
from cvfp_opt.store.record.progress import StudyProgress
from cvfp_opt.store.record.records import TrialRecord, trial_records
from cvfp_opt.training.events import Event, IterationFinished
from cvfp_opt.tuning.lanes import search_in_lanes
from cvfp_opt.tuning.runner import MAX_FIRST_FAILURES, Search
from cvfp_opt.tuning.stopping import SearchStopped

PATIENCE = 30.0  # seconds: a lane that waits for ever fails the test instead of stopping all
# proposals that depend on the trial's number alone, not on which trials ended before it
SETTINGS = ["search.sampler=random", "training.min_converged_ratio=1.0"]


class Lanes(Recorder):
    """A Recorder for several threads.

    The first trials wait, before they compute, until so many have started.
    """

    def __init__(self, act: Act, num_first: int) -> None:
        super().__init__(act)
        self._first = threading.Barrier(num_first)
        self._begun: set[int] = set()
        self.running: set[int] = set()
        self.most_at_once = 0

    def trial_started(self, number: int, params: dict[str, Any]) -> None:
        self.running.add(number)
        self.most_at_once = max(self.most_at_once, len(self.running))
        if number < self._first.parties and number not in self._begun:
            self._begun.add(number)  # one that was given back and is claimed again waits no more
            self._first.wait(PATIENCE)

    def trial_finished(self, record: TrialRecord, progress: StudyProgress) -> None:
        self.running.discard(record.number)


class Flag:
    """A Stop that a test raises."""

    up = False

    def check(self) -> None:
        if self.up:
            raise SearchStopped(2)


@pytest.fixture
def store() -> Iterator[Store]:
    with open_for_search(resolve_location("x.db")) as opened:
        yield opened


def nothing(number: int, event: Event) -> None:
    pass


def lanes(
    store: Store, *settings: str, num_first: int = 1, act: Act = nothing, stop: Any = None
) -> Search:
    observer = Lanes(act, num_first)
    return make_search(store, *SETTINGS, *settings, observer=observer, stop=stop or Flag())


def run(search: Search, num_lanes: int, num_trials: int) -> BaseException | None:
    """What ``search_in_lanes`` raises."""
    raised: list[BaseException] = []

    def work() -> None:
        try:
            search_in_lanes(search, num_lanes, num_trials)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive(), "a lane waits for ever"
    return raised[0] if raised else None


def states(search: Search) -> list[TrialState]:
    return [t.state for t in search.study.trials]


def test_five_trials_over_two_lanes_run_once_each_as_they_would_alone(store: Store) -> None:
    search = lanes(store, num_first=2)
    assert run(search, 2, 5) is None
    assert states(search) == [TrialState.COMPLETE] * 5
    assert isinstance(search.observer, Lanes)
    assert search.observer.most_at_once == 2
    with open_for_search(resolve_location("alone.db")) as other:
        alone = lanes(other)
        alone.run(5)
        pairs = list(zip(trial_records(search.study), trial_records(alone.study), strict=True))
    for lane, expected in pairs:
        assert lane.params == expected.params
        assert lane.environment["lanes"] == 2
        assert lane.environment["optimizer_steps"] == expected.environment["optimizer_steps"]
        # the first pass is of equal weights; rounding grows in those that follow
        ranks = lane.iterations[0]["effective_rank"], expected.iterations[0]["effective_rank"]
        assert ranks[0] == pytest.approx(ranks[1], abs=0.05)


def test_one_lane_is_a_search_without_threads(store: Store) -> None:
    here = threading.get_ident()
    seen = set()
    search = lanes(store, act=lambda number, event: seen.add(threading.get_ident()))
    search_in_lanes(search, 1, 2)
    assert seen == {here}
    assert "lanes" not in trial_records(search.study)[0].environment


def test_linear_algebra_is_loaded_before_threads_ask_for_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, tuple[int, ...]]] = []
    eigvalsh = torch.linalg.eigvalsh

    def watched(matrix: torch.Tensor) -> torch.Tensor:
        asked.append((threading.current_thread().name, tuple(matrix.shape)))
        return eigvalsh(matrix)

    monkeypatch.setattr(torch.linalg, "eigvalsh", watched)
    assert run(lanes(store, num_first=2), 2, 2) is None
    (first, shape), *others = asked
    assert shape == (1, 1)
    assert not first.startswith("lane")
    assert {name.partition("_")[0] for name, _ in others} == {"lane"}


def test_a_trial_that_raises_leaves_the_others_alone(store: Store) -> None:
    def act(number: int, event: Event) -> None:
        if number == 1 and isinstance(event, IterationFinished):
            raise MemoryError("no room")

    search = lanes(store, num_first=3, act=act)
    assert run(search, 3, 6) is None
    failed = [r for r in trial_records(search.study) if r.state != "complete"]
    assert [(r.number, r.reason) for r in failed] == [(1, "MemoryError: no room")]
    assert len(search.study.trials) == 6


def test_a_diverged_trial_makes_room_for_the_next_one(store: Store) -> None:
    search = lanes(store, "space.phase1_learning_rate={low=0.001,high=1e38,log=true}")
    assert run(search, 2, 6) is None
    found = states(search)
    assert len(found) == 6
    assert set(found) == {TrialState.COMPLETE, TrialState.FAIL}


def test_a_stop_gives_all_running_trials_back_and_the_next_run_repeats_them(
    store: Store,
) -> None:
    stop = Flag()

    def act(number: int, event: Event) -> None:
        if number == 1 and isinstance(event, IterationFinished):
            stop.up = True

    search = lanes(store, num_first=3, act=act, stop=stop)
    assert isinstance(run(search, 3, 5), SearchStopped)
    assert states(search) == [TrialState.WAITING] * 3
    params = [t.params for t in search.study.trials]
    resumed = lanes(store)
    assert run(resumed, 2, 5) is None
    assert states(resumed) == [TrialState.COMPLETE] * 5
    assert [t.params for t in resumed.study.trials[:3]] == params


def test_first_failures_stop_all_lanes_and_give_the_rest_back(store: Store) -> None:
    def act(number: int, event: Event) -> None:
        if number == 0:
            time.sleep(0.01)  # goes on while the others fail
        else:
            raise RuntimeError("broken device")

    search = lanes(store, "training.num_iterations=100", num_first=3, act=act)
    error = run(search, 3, 50)
    assert isinstance(error, SearchError)
    assert "broken device" in str(error)
    found = states(search)
    assert found[0] is TrialState.WAITING
    # a trial may have been given back before it failed, or have failed meanwhile
    assert MAX_FIRST_FAILURES <= found.count(TrialState.FAIL) <= MAX_FIRST_FAILURES + 1
    assert TrialState.RUNNING not in found


def test_the_command_takes_lanes_and_refuses_a_trainer_that_has_none(
    invoke: Callable[..., Outcome],
) -> None:
    words = ["--threads", "2", "--n-trials", "4"]  # two threads are two processes by default
    outcome = invoke("run", "quick", *TINY_ARGUMENTS, "--lanes", "2", *words)
    assert outcome.code == 0, outcome.err
    assert "4 complete" in outcome.out
    online = ["training.trainer=online", "training.learning_rate_schedule=constant"]
    online += ["training.step_rule=always", "diversity.loss=deviation"]
    words = [word for setting in online for word in ("--set", setting)]
    names = ["--study-name", "o", "--lanes", "2"]
    refused = invoke("run", "quick", *TINY_ARGUMENTS, *words, *names)
    assert refused.code == 1
    assert '--lanes 2: training.trainer = "batch" is required, got "online"' in refused.err
    assert len(refused.err.strip().splitlines()) == 1
    both = invoke("run", "quick", *TINY_ARGUMENTS, "--lanes", "2", "--n-jobs", "2")
    assert both.code == 1
    assert "--lanes 2 --n-jobs 2: one of the two is required" in both.err
