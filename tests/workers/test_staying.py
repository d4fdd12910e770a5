"""A worker that stays serves what is submitted, as it is wanted, and ends when it is told to."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from searching import Recorder
from support import TINY

from cvfp_opt.api.submitting import submit_request
from cvfp_opt.api.wishes import Wishes
from cvfp_opt.store.database.location import Location
from cvfp_opt.store.database.storage import Store, open_for_editing
from cvfp_opt.store.files.artifact_stores import open_artifacts
from cvfp_opt.store.queue import control
from cvfp_opt.store.queue.overview import QueuedStudy, Stage, read_queue
from cvfp_opt.store.queue.workers import Wanted, WorkerState, read_workers, want
from cvfp_opt.store.record.records import StudyRecord
from cvfp_opt.store.record.studies import load_study
from cvfp_opt.store.transfer.editing import delete_study, rename_study
from cvfp_opt.training.events import Event
from cvfp_opt.tuning.environment import describe_environment
from cvfp_opt.tuning.plan import Request
from cvfp_opt.tuning.stopping import SearchStopped, StopSwitch
from cvfp_opt.workers import staying
from cvfp_opt.workers.health import Pulse
from cvfp_opt.workers.hours import read_hours
from cvfp_opt.workers.staying import Staying
from cvfp_opt.workers.task import Task
from cvfp_opt.workers.terms import Terms


class StayingRecorder(Recorder):
    """Remembers as well which studies were served, and why there was nothing to do."""

    def __init__(
        self,
        act: Callable[[int, Event], None] = lambda number, event: None,
        rests: Callable[[str], None] = lambda reason: None,
    ) -> None:
        super().__init__(act)
        self.served: list[str] = []
        self.reasons: list[str] = []
        self._rests = rests

    def serving(self, task: Task) -> None:
        self.served.append(task.plan.name)

    def resting(self, reason: str) -> None:
        self.reasons.append(reason)
        self._rests(reason)


@pytest.fixture(autouse=True)
def short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staying, "IDLE_SECONDS", (0.0, 0.0))
    monkeypatch.setattr(staying, "CHOICE_SECONDS", 0.0)


def submit(location: Location, name: str, *settings: str, **wishes: Any) -> None:
    request = Request(definition="quick", study_name=name, settings=[*TINY, *settings])
    submit_request(location, request, Wishes(**wishes))


def stay(
    location: Location,
    recorder: StayingRecorder | None = None,
    stop: StopSwitch | None = None,
    **terms: Any,
) -> StayingRecorder:
    recorder = recorder or StayingRecorder()
    words = Terms(location=location, **{"until_idle": True, "device": "cpu", **terms})
    Staying(words, recorder, stop or StopSwitch(), Pulse(60.0)).run()
    return recorder


def look(location: Location) -> dict[str, QueuedStudy]:
    with open_for_editing(location) as store:
        return {study.name: study for study in read_queue(store)}


def on(location: Location, act: Callable[[Store], object]) -> None:
    with open_for_editing(location) as store:
        act(store)


def test_it_runs_all_that_is_submitted_to_the_exact_total_and_leaves(location: Location) -> None:
    submit(location, "a", n_trials=2)
    submit(location, "b", n_trials=3, priority=1)
    recorder = stay(location)
    assert recorder.served == ["b", "a"]
    for name, total in (("a", 2), ("b", 3)):
        assert look(location)[name].counts == {"complete": total}
        assert look(location)[name].stage is Stage.DONE
    with open_for_editing(location) as store:
        assert read_workers(store) == []
        record = StudyRecord.of(load_study(store, "a"))
    assert record is not None
    assert record.environment["versions"]  # of its first worker


def test_it_shares_itself_between_studies_of_one_priority(tmp_path: Path) -> None:
    location = Location.of_file(tmp_path / "s.db")  # MariaDB keeps whole seconds
    for name, weight in (("a", 1.0), ("b", 3.0)):
        submit(location, name, n_trials=40, weight=weight)
    recorder = stay(location, max_trials=16)
    assert len(recorder.finished) == 16
    assert set(recorder.served[:2]) == {"a", "b"}
    started = {name: study.started for name, study in look(location).items()}
    assert 9 <= started["b"] <= 15  # 12, up to how long single trials took


def test_what_is_paused_spent_or_not_for_it_is_left(location: Location) -> None:
    for name in ("paused", "for-others", "mine"):
        submit(location, name, n_trials=1)
    submit(location, "spent", n_trials=1, until="2020-01-01")
    on(location, lambda store: control.pause(store, load_study(store, "paused")))
    recorder = stay(location, patterns=("mine", "pau*", "spent"))
    assert recorder.served == ["mine"]
    assert {study.started for study in look(location).values()} == {0, 1}


def test_it_waits_for_what_is_submitted_later_and_says_why(tmp_path: Path) -> None:
    location = Location.of_file(tmp_path / "s.db")
    submit(location, "first", n_trials=1)
    stop = StopSwitch()

    def rests(reason: str) -> None:
        if len(recorder.reasons) == 3:
            submit(location, "second", n_trials=1)
        if len(recorder.finished) == 2:
            stop.stop()

    recorder = StayingRecorder(rests=rests)
    with pytest.raises(SearchStopped):
        stay(location, recorder, stop, until_idle=False)
    assert recorder.served == ["first", "second"]
    assert set(recorder.reasons) == {"no study has a trial to begin"}


def test_drained_it_ends_after_its_trial_and_stopped_it_gives_it_back(location: Location) -> None:
    submit(location, "a", n_trials=5)
    ordered: list[Wanted] = []

    def order(wanted: Wanted) -> Callable[[int, Event], None]:
        def act(number: int, event: Event) -> None:
            if not ordered:
                ordered.append(wanted)
                with open_for_editing(location) as store:
                    [worker] = read_workers(store)
                    assert worker.state is WorkerState.RUNNING
                    want(store, worker.short, wanted)
            telling_again(recorder)

        return act

    worker: list[Staying] = []

    def telling_again(recorder: StayingRecorder) -> None:
        """Wait until the worker has read its order: at its next beat, which is brought about."""
        telling = worker[0]._telling
        while not telling.drains:
            telling._news.set()

    for wanted, done in ((Wanted.DRAIN, 1), (Wanted.STOP, 1)):
        ordered.clear()
        worker.clear()
        recorder = StayingRecorder(order(wanted))
        words = Terms(location=location, device="cpu")
        worker.append(Staying(words, recorder, StopSwitch(), Pulse(60.0)))
        worker[0].run()  # and returns, though it was to stay
        assert look(location)["a"].finished == done
    assert look(location)["a"].counts == {"complete": 1, "waiting": 1}


def test_a_study_that_it_cannot_serve_is_left_to_others_until_it_is_changed(
    location: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(location, "older", n_trials=2)
    submit(location, "new", n_trials=1)
    stay(location, patterns=("older",), max_trials=1)

    def other(*words: Any) -> Any:
        found = describe_environment(*words)
        return {**found, "versions": {**found["versions"], "torch": "9.9"}}

    monkeypatch.setattr(staying, "describe_environment", other)
    recorder = stay(location)
    assert recorder.served == ["new"]
    [notice] = recorder.notices
    assert notice.startswith("study older is left to others: its first worker ran on something")
    assert "torch 9.9 (was " in notice
    assert "--mixed" in notice
    assert stay(location, mixed=True).served == ["older"]


def test_a_study_whose_trials_all_fail_does_not_stop_the_others(tmp_path: Path) -> None:
    location = Location.of_file(tmp_path / "s.db")
    code = "def loss(contexts, mean):\n    assert len(contexts) == 4\n    return contexts.mean()"
    (tmp_path / "failing.py").write_text(code)
    submit(location, "good", n_trials=1)
    definition = tmp_path / "bad.toml"
    definition.write_text('[diversity]\nloss = "failing:loss"\n')
    request = Request(definition=str(definition), study_name="bad", settings=TINY)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        submit_request(location, request, Wishes(n_trials=9, priority=1))
        recorder = stay(location, allow_code=True)
        assert recorder.served == ["bad", "good"]
        assert "the first 5 trials all failed" in recorder.notices[-1]
        assert look(location)["bad"].counts == {"fail": 5}
        # and without leave to run it
        recorder = stay(location)
    assert recorder.served == []
    assert "--allow-code" in recorder.notices[0]


def test_outside_of_its_hours_it_takes_nothing(tmp_path: Path) -> None:
    location = Location.of_file(tmp_path / "s.db")
    submit(location, "a", n_trials=1)
    never = replace(read_hours("9-17"), days=frozenset())
    stop = StopSwitch()
    recorder = StayingRecorder(rests=lambda reason: stop.stop())
    with pytest.raises(SearchStopped):
        stay(location, recorder, stop, hours=never, until_idle=False)
    assert recorder.reasons == ["outside of its hours"]
    assert stay(location, hours=read_hours("0-24")).served == ["a"]


def test_a_study_deleted_and_made_anew_is_not_taken_for_the_former_one(tmp_path: Path) -> None:
    location = Location.of_file(tmp_path / "s.db")
    submit(location, "a", n_trials=1)
    stop = StopSwitch()

    def rests(reason: str) -> None:
        if len(recorder.finished) == 2:
            stop.stop()
        elif len(recorder.finished) == 1:
            on(
                location,
                lambda store: delete_study(store, "a", open_artifacts(location, None), force=True),
            )
            submit(location, "a", "search.seed=7", n_trials=1)

    recorder = StayingRecorder(rests=rests)
    with pytest.raises(SearchStopped):
        stay(location, recorder, stop, until_idle=False)
    first, second = recorder.finished
    assert first.params != second.params  # of another seed


def test_what_a_dead_worker_left_in_a_paused_study_does_not_run_for_ever(
    location: Location,
) -> None:
    from claiming import Workers, take

    submit(location, "a", n_trials=3)
    with open_for_editing(location) as store:
        study = load_study(store, "a")
        take(Workers(store, study).add(pid=2**22 + 1))
        control.pause(store, study)
    assert look(location)["a"].abandoned == 1
    stay(location)
    assert look(location)["a"].counts == {"waiting": 1}


def test_a_total_that_grows_is_run_by_the_worker_that_stayed(location: Location) -> None:
    submit(location, "a", n_trials=1)
    stop = StopSwitch()

    def rests(reason: str) -> None:
        if len(recorder.finished) == 3:
            stop.stop()
        on(location, lambda store: control.amend(store, load_study(store, "a"), {"total": 3}))

    recorder = StayingRecorder(rests=rests)
    with pytest.raises(SearchStopped):
        stay(location, recorder, stop, until_idle=False)
    assert Counter(recorder.served) == {"a": 2}


def test_a_study_that_is_renamed_between_two_visits_is_served_under_its_new_name(
    location: Location,
) -> None:
    submit(location, "a", n_trials=1)
    stop = StopSwitch()

    def rests(reason: str) -> None:
        if len(recorder.finished) == 2:
            stop.stop()
        elif "b" not in look(location):
            on(location, lambda store: rename_study(store, "a", "b"))
            on(location, lambda store: control.amend(store, load_study(store, "b"), {"total": 2}))

    recorder = StayingRecorder(rests=rests)
    with pytest.raises(SearchStopped):
        stay(location, recorder, stop, until_idle=False)
    assert recorder.served == ["a", "b"]


def test_what_a_worker_has_seen_of_a_deleted_study_is_nothing_to_the_next(tmp_path: Path) -> None:
    location = Location.of_file(tmp_path / "s.db")
    settings = ("search.sampler=tpe", "search.num_startup_trials=1")
    submit(location, "a", *settings, n_trials=3)
    stop = StopSwitch()

    def rests(reason: str) -> None:
        if recorder.served == ["a"] and "a" in look(location):
            files = open_artifacts(location, None)
            on(location, lambda store: delete_study(store, "a", files, force=True))
            submit(location, "b", *settings, "search.seed=7", n_trials=3)
        elif recorder.served == ["a", "b"]:
            stop.stop()

    recorder = StayingRecorder(rests=rests)
    with pytest.raises(SearchStopped):
        stay(location, recorder, stop, until_idle=False)
    alone = Location.of_file(tmp_path / "alone.db")
    submit(alone, "b", *settings, "search.seed=7", n_trials=3)
    expected = [record.params for record in stay(alone).finished]
    assert [record.params for record in recorder.finished[3:]] == expected


@pytest.mark.parametrize(("lanes", "most"), [(3, 1), (2, 3)])
def test_several_lanes_take_no_more_trials_than_they_may(
    location: Location, lanes: int, most: int
) -> None:
    submit(location, "a", n_trials=6)
    stay(location, lanes=lanes, max_trials=most)
    assert look(location)["a"].counts == {"complete": most}
